import { ShortlistError } from "../../errors.js";
import { name, type TableSession } from "./duckdb.js";
import { EVENT_ROWS, type EventTable, keyOf, timeOf } from "./event_table.js";
import { checkUnchanged } from "./table_files.js";
import { checkWhole } from "./whole_files.js";

/** The distinct values of a column, numbered from 0 in the order of their bytes. */
export interface Numbering {
  /** The table of the session with these values, in the columns key, token and number. */
  readonly table: string;
  readonly size: number;
}

/** Events sorted by user and time. Users and items are given by their numbers. */
export interface SortedEvents {
  readonly users: Numbering;
  readonly items: Numbering;
  /** [users + 1] Index of the first event of each user. */
  readonly offsets: Int32Array;
  /** [events] Number of the item. */
  readonly itemNumbers: Int32Array;
  /** [events] Time in seconds, or in the unit of the table if that is not known; NaN if missing. */
  readonly times: Float64Array | undefined;
  readonly leftOut: LeftOut;
}

/** Counts of rows that are not used. */
export interface LeftOut {
  readonly withoutUser: number;
  readonly withoutItem: number;
  /** Rows whose time cannot be read, left out because of `skipBad`. */
  readonly withBadTime: number;
  /** Lines that are not rows of the table, left out because of `skipBad`, and the problems of the first ones. */
  readonly badLines: number;
  readonly problems: readonly string[];
}

const MOST = 2 ** 31 - 1;
const LISTED = 20;

/**
 * Reads the rows of a table once, and returns the events sorted by user and time; events of the same time stay in the
 * order of the rows. Users are in the order of the bytes of their ids, so that the order of the rows has no other
 * effect. DuckDB sorts on disk what does not fit into its memory.
 */
export async function readEvents(
  session: TableSession,
  table: EventTable,
  missing: readonly string[],
  skipBad: boolean,
): Promise<SortedEvents> {
  const { columns, unit, found } = table;
  const column = (wanted: string) => found.find((one) => one.name === wanted)!;
  const time = columns.time === null ? undefined : timeOf(column(columns.time), unit!);
  const [user, item] = [keyOf(column(columns.user), missing), keyOf(column(columns.item), missing)];
  const when = columns.time === null ? "" : `, ${time!.order} AS t, ${keyOf(column(columns.time), missing)} AS written`;
  // A table of the session, whose row numbers are in the order of the rows although many threads read them.
  const isBad = time ? "written IS NOT NULL AND t IS NULL" : "false";
  const whole = checkWhole(table.files, table.form, session.signal);
  const read = session.run(
    `CREATE TABLE events_read AS SELECT u, i${time ? `, t, CASE WHEN ${isBad} THEN CAST(written AS VARCHAR) END AS bad` : ""}
     FROM (SELECT ${user} AS u, ${item} AS i${when} FROM ${EVENT_ROWS})`,
  );
  const [isWhole, isRead] = await Promise.allSettled([whole, read]);
  for (const result of [isWhole, isRead]) if (result.status === "rejected") throw result.reason;
  const leftOut = await findLeftOut(session, table, time !== undefined, skipBad);
  checkUnchanged(table.files);
  const isEvent = `u IS NOT NULL AND i IS NOT NULL${time ? " AND bad IS NULL" : ""}`;
  const events = Number((await session.rows(`SELECT count(*) FROM events_read WHERE ${isEvent}`))[0]![0]);
  if (events === 0) {
    throw new ShortlistError(
      "ERR_TABLE",
      `${table.files.name}: Expected an event with a user and an item but received none`,
    );
  }
  if (events > MOST) throw new ShortlistError("ERR_DATASET", `Expected at most ${MOST} events but received ${events}`);
  const users = await number(session, "u", isEvent);
  const items = await number(session, "i", isEvent);
  const sorted = {
    ...{ users, items, leftOut, offsets: new Int32Array(users.size + 1), itemNumbers: new Int32Array(events) },
    times: time && new Float64Array(events),
  };
  const seconds = time ? `, coalesce(${time.seconds}, 'nan'::DOUBLE)` : "";
  const sql = `SELECT un, im${seconds} FROM (
      SELECT users.number AS un, items.number AS im${time ? ", t" : ""}, events_read.rowid AS row
      FROM events_read JOIN ${users.table} AS users ON u = users.key JOIN ${items.table} AS items ON i = items.key
      WHERE ${isEvent}
    ) ORDER BY un${time ? ", t NULLS FIRST" : ""}, row`;
  let at = 0;
  for await (const rows of session.stream(sql)) {
    const userNumbers = rows.int32(0);
    sorted.itemNumbers.set(rows.int32(1), at);
    sorted.times?.set(rows.float64(2), at);
    for (let row = 0; row < rows.count; row++) sorted.offsets[userNumbers[row]! + 1] = at + row + 1;
    at += rows.count;
  }
  return sorted;
}

/** Numbers the distinct values of a column of the events. */
async function number(session: TableSession, column: "u" | "i", isEvent: string): Promise<Numbering> {
  const table = `numbered_${column}`;
  // Distinct keys first: only these become text, and only these are sorted.
  await session.run(
    `CREATE TABLE ${table}_keys AS SELECT key, CAST(key AS VARCHAR) AS token
     FROM (SELECT DISTINCT ${column} AS key FROM events_read WHERE ${isEvent}) ORDER BY token`,
  );
  await session.run(`CREATE VIEW ${table} AS SELECT key, token, CAST(rowid AS INTEGER) AS number FROM ${table}_keys`);
  const [[size]] = (await session.rows(`SELECT count(*) FROM ${table}`)) as [[bigint]];
  return { table, size: Number(size) };
}

/** Returns the tokens of a numbering, in its order. */
export async function tokensOf(session: TableSession, { table, size }: Numbering): Promise<string[]> {
  const tokens: string[] = new Array(size);
  let at = 0;
  for await (const rows of session.stream(`SELECT token FROM ${table} ORDER BY number`)) {
    for (const token of rows.values(0)) tokens[at++] = token as string;
  }
  return tokens;
}

/** Counts the rows that are not used. Throws ERR_TABLE if a row is broken and `skipBad` is false. */
async function findLeftOut(
  session: TableSession,
  { files, columns, form }: EventTable,
  hasTime: boolean,
  skipBad: boolean,
): Promise<LeftOut> {
  const bad = hasTime ? "count(bad), any_value(bad)" : "0, NULL";
  const counts = `count(*) FILTER (u IS NULL), count(*) FILTER (u IS NOT NULL AND i IS NULL), ${bad}`;
  const [[withoutUser, withoutItem, badTimes, badTime]] = (await session.rows(`SELECT ${counts} FROM events_read`)) as [
    unknown[],
  ];
  const withBadTime = Number(badTimes);
  const problem = `${files.name}: Expected a time in column ${name(columns.time ?? "")} but received ${JSON.stringify(badTime)}`;
  if (withBadTime > 0 && !skipBad) {
    const more = withBadTime > 1 ? `, and ${withBadTime - 1} more such rows` : "";
    throw new ShortlistError("ERR_TABLE", `${problem}${more}. Leave such rows out with --on-bad-line skip`);
  }
  const rejects =
    skipBad && form.format === "csv"
      ? await session.rows("SELECT line, any_value(error_message) FROM reject_errors GROUP BY line ORDER BY line")
      : [];
  return {
    withoutUser: Number(withoutUser),
    withoutItem: Number(withoutItem),
    withBadTime,
    badLines: rejects.length,
    problems: [
      ...rejects.slice(0, LISTED).map(([line, message]) => `${files.name}:${line}: ${String(message).split("\n")[0]}`),
      ...(withBadTime > 0 ? [problem] : []),
    ],
  };
}
