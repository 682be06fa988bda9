import { ShortlistError } from "../../errors.js";
import { MAX_LENGTH } from "../int_list.js";
import { type PackedTokens, PackedTokensWriter } from "../packed_tokens.js";
import { name, type TableSession } from "./duckdb.js";
import type { FoundColumn } from "./event_columns.js";
import { type EventColumns, EventSorter } from "./event_sorter.js";
import { EVENT_ROWS, type EventTable, keyOf, numberOf, type TimeSql, timeOf, weightOf } from "./event_table.js";
import { checkUnchanged } from "./table_files.js";
import { checkWhole } from "./whole_files.js";

/** The distinct values of a column of the events, numbered from 0 in the order of their bytes. */
export interface Numbering {
  /** The table of the session with these values, in the columns key, token and number. */
  readonly table: string;
  readonly size: number;
  readonly tokens: PackedTokens;
  /** [size] Number of events of each. */
  readonly counts: Int32Array;
}

/** Events sorted by user and time. Users and items are given by their numbers. */
export interface SortedEvents extends Pick<EventColumns, "offsets" | "itemNumbers" | "times"> {
  /** [events] 1 where missing. Undefined if events have no weights. */
  readonly weights: Float32Array | undefined;
  /** [events] of each column of numbers; NaN where missing. */
  readonly numbers: readonly Float32Array[];
  readonly users: Numbering;
  readonly items: Numbering;
  readonly leftOut: LeftOut;
}

/** Counts of rows that are not used. */
export interface LeftOut {
  readonly withoutUser: number;
  readonly withoutItem: number;
  /** Rows whose time or number cannot be read, left out because of `skipBad`. */
  readonly withBadValue: number;
  /** Lines that are not rows of the table, left out because of `skipBad`, and the problems of the first ones. */
  readonly badLines: number;
  readonly problems: readonly string[];
}

/** Largest number of rows: a rank has 32 bits for them. */
const MOST_ROWS = 2 ** 32;
/** Largest number of bytes of the tokens of a column. */
const MOST_BYTES = 2 ** 32 - 1;
const LISTED = 20;

/**
 * Reads the rows of a table once, and returns the events sorted by user and time; events of the same time stay in the
 * order of the rows. Times are in seconds, or in the unit of the table if that is not known. Users are in the order of
 * the bytes of their ids, so that the order of the rows has no other effect.
 */
export async function readEvents(
  session: TableSession,
  table: EventTable,
  missing: readonly string[],
  skipBad: boolean,
): Promise<SortedEvents> {
  const { columns, unit, found } = table;
  const column = (wanted: string) => found.find((one) => one.name === wanted)!;
  const timeColumn = columns.time === null ? undefined : column(columns.time);
  const time = timeColumn && timeOf(timeColumn, unit!);
  const numbers = numbersOf(table, column);
  const { isEvent, checked } = await readRows(session, table, column, { time, numbers }, missing);
  const { leftOut, rows, events } = await findLeftOut(session, table, isEvent, checked, skipBad);
  checkUnchanged(table.files);
  checkSizes(table, rows, events);
  const users = await number(session, "u", isEvent);
  const items = await number(session, "i", isEvent);
  const sorted = await sortEvents(session, users, items, isEvent, { time, numbers });
  const weights = columns.weight === undefined ? [] : sorted.numbers.slice(0, 1);
  return { users, items, leftOut, ...sorted, weights: weights[0], numbers: sorted.numbers.slice(weights.length) };
}

/** The columns of numbers of the events: the weight comes first. */
function numbersOf({ columns }: EventTable, column: (name: string) => FoundColumn): NumberSql[] {
  const { weight, numbers = [] } = columns;
  return [
    ...(weight === undefined
      ? []
      : [{ ...{ column: weight, expected: "a weight of at least 0", missing: "1" }, value: weightOf(column(weight)) }]),
    ...numbers.map((number) => ({
      ...{ column: number, expected: "a number", missing: "'nan'", value: numberOf(column(number)) },
    })),
  ];
}

/** What an event has besides its user and item. */
interface EventSql {
  readonly time: TimeSql | undefined;
  readonly numbers: readonly NumberSql[];
}

/** A column of numbers of the events. */
interface NumberSql {
  readonly column: string;
  /** What is expected in it, for messages. */
  readonly expected: string;
  /** SQL of the number, a float; null unless it is what is expected. */
  readonly value: string;
  /** SQL of what stands for a missing number. */
  readonly missing: string;
}

/** A column of the rows, some values of which may not be readable. */
interface CheckedColumn {
  readonly column: string;
  /** What is expected in it, for messages. */
  readonly expected: string;
  /** The column of events_read with the value that was read; null where missing or not readable. */
  readonly read: string;
  /** The column of events_read with the text of a value that is not readable; null otherwise. */
  readonly bad: string;
}

/**
 * Reads the rows into the table events_read of the session, in the columns u, i, t (time) and n0, n1 … (numbers of the
 * events). The numbers of its rows are in the order of the files, although many threads read them. Returns the condition
 * that an event meets, and the columns whose values may not be readable.
 */
async function readRows(
  session: TableSession,
  { files, form, columns }: EventTable,
  column: (name: string) => FoundColumn,
  { time, numbers }: EventSql,
  missing: readonly string[],
): Promise<{ readonly isEvent: string; readonly checked: readonly CheckedColumn[] }> {
  const [user, item] = [keyOf(column(columns.user), missing), keyOf(column(columns.item), missing)];
  const checked: CheckedColumn[] = [];
  // Where every time can be read because of its type, none needs to be looked at as text.
  if (time && !time.isReadable) checked.push({ column: columns.time!, expected: "a time", read: "t", bad: "bad_t" });
  for (const [n, { column, expected }] of numbers.entries()) {
    checked.push({ column, expected, read: `n${n}`, bad: `bad_n${n}` });
  }
  const whole = checkWhole(files, form, session.signal);
  const values = [
    ...[`${user} AS u`, `${item} AS i`],
    ...(time ? [`${time.order} AS t`] : []),
    ...numbers.map(({ value }, n) => `${value} AS n${n}`),
    ...checked.map((found) => `${keyOf(column(found.column), missing)} AS written_${found.read}`),
  ].join(", ");
  const badText = ({ read, bad }: CheckedColumn) =>
    `CASE WHEN written_${read} IS NOT NULL AND ${read} IS NULL THEN CAST(written_${read} AS VARCHAR) END AS ${bad}`;
  const kept = ["u", "i", ...(time ? ["t"] : []), ...numbers.map((_, n) => `n${n}`), ...checked.map(badText)];
  const rows =
    checked.length > 0
      ? `SELECT ${kept.join(", ")} FROM (SELECT ${values} FROM ${EVENT_ROWS})`
      : `SELECT ${values} FROM ${EVENT_ROWS}`;
  const read = session.run(`CREATE TEMP TABLE events_read AS ${rows}`);
  const [isWhole, isRead] = await Promise.allSettled([whole, read]);
  for (const result of [isWhole, isRead]) if (result.status === "rejected") throw result.reason;
  const isEvent = ["u IS NOT NULL", "i IS NOT NULL", ...checked.map(({ bad }) => `${bad} IS NULL`)].join(" AND ");
  return { isEvent, checked };
}

function checkSizes({ files }: EventTable, rows: number, events: number): void {
  if (events === 0) {
    throw new ShortlistError("ERR_TABLE", `${files.name}: Expected an event with a user and an item but received none`);
  }
  if (events > MAX_LENGTH) {
    throw new ShortlistError(
      "ERR_DATASET",
      `${files.name}: Expected at most ${MAX_LENGTH} events but received ${events}: choose some of them with --where`,
    );
  }
  if (rows > MOST_ROWS) {
    throw new ShortlistError(
      "ERR_TABLE",
      `${files.name}: Expected at most ${MOST_ROWS} rows but received ${rows}: choose some of them with --where`,
    );
  }
}

/** Numbers the distinct values of a column of the events. */
async function number(session: TableSession, column: "u" | "i", isEvent: string): Promise<Numbering> {
  const table = `numbered_${column}`;
  // Distinct keys first: only these become text, and only these are sorted.
  await session.run(
    `CREATE TEMP TABLE ${table}_keys AS SELECT key, CAST(key AS VARCHAR) AS token, CAST(uses AS INTEGER) AS uses
     FROM (SELECT ${column} AS key, count(*) AS uses FROM events_read WHERE ${isEvent} GROUP BY ${column}) ORDER BY token`,
  );
  await session.run(
    `CREATE TEMP VIEW ${table} AS SELECT key, token, CAST(rowid AS INTEGER) AS number FROM ${table}_keys`,
  );
  const [[size, bytes]] = (await session.rows(`SELECT count(*), sum(strlen(token)) FROM ${table}_keys`)) as [unknown[]];
  if (Number(bytes) > MOST_BYTES) {
    throw new ShortlistError(
      "ERR_TABLE",
      `Expected the distinct ids of a column to have at most ${MOST_BYTES} bytes but received ${bytes}: replace them by shorter ones with a query in --source`,
    );
  }
  const counts = new Int32Array(Number(size));
  const tokens = new PackedTokensWriter(Number(size), Number(bytes));
  let at = 0;
  // A table is read in the order in which its rows were written.
  for await (const rows of session.stream(`SELECT token, uses FROM ${table}_keys`)) {
    rows.pack(0, tokens);
    counts.set(rows.int32(1), at);
    at += rows.count;
  }
  return { table, size: counts.length, tokens: tokens.finish(), counts };
}

/** Replaces users and items by their numbers, and sorts the events. */
async function sortEvents(
  session: TableSession,
  users: Numbering,
  items: Numbering,
  isEvent: string,
  { time, numbers }: EventSql,
): Promise<EventColumns> {
  const { remainder } = time ?? {};
  const has = { hasTimes: time !== undefined, numbers: numbers.length, wideRanks: remainder !== undefined };
  const sorter = new EventSorter(users.counts, has);
  const rank = remainder
    ? `CAST(coalesce(${remainder}, 0) * ${MOST_ROWS}::BIGINT + events_read.rowid AS DOUBLE)`
    : "CAST(events_read.rowid AS UINTEGER)";
  const times = time ? `, coalesce(CAST(${time.value} AS DOUBLE), '-infinity'::DOUBLE)` : "";
  const ofEvents = numbers.map(({ missing }, n) => `, coalesce(n${n}, ${missing}::FLOAT)`).join("");
  const sql = `SELECT users.number, items.number, ${rank}${times}${ofEvents}
    FROM events_read JOIN ${users.table} AS users ON u = users.key JOIN ${items.table} AS items ON i = items.key
    WHERE ${isEvent}`;
  for await (const rows of session.stream(sql)) {
    const ranks = remainder ? rows.float64(2) : rows.uint32(2);
    const columns = numbers.map((_, n) => rows.float32((time ? 4 : 3) + n));
    sorter.add(rows.int32(0), rows.int32(1), ranks, time && rows.float64(3), columns);
  }
  const sorted = sorter.finish();
  if (time && time.unitsASecond !== 1) {
    for (let event = 0; event < sorted.times!.length; event++) sorted.times![event]! /= time.unitsASecond;
  }
  return sorted;
}

/** Counts the rows that are not used, all rows, and events. Throws ERR_TABLE if a row is broken and `skipBad` is false. */
async function findLeftOut(
  session: TableSession,
  { files, form }: EventTable,
  isEvent: string,
  checked: readonly CheckedColumn[],
  skipBad: boolean,
): Promise<{ readonly leftOut: LeftOut; readonly rows: number; readonly events: number }> {
  const isBad = checked.map(({ bad }) => `${bad} IS NOT NULL`).join(" OR ") || "false";
  const counts = [
    ...["count(*)", `count(*) FILTER (${isEvent})`, "count(*) FILTER (u IS NULL)"],
    ...["count(*) FILTER (u IS NOT NULL AND i IS NULL)", `count(*) FILTER (${isBad})`],
    ...checked.flatMap(({ bad }) => [`count(${bad})`, `any_value(${bad})`]),
  ];
  const [[rows, events, withoutUser, withoutItem, badRows, ...ofColumns]] = (await session.rows(
    `SELECT ${counts.join(", ")} FROM events_read`,
  )) as [unknown[]];
  const withBadValue = Number(badRows);
  const problems = checked.flatMap(({ column, expected }, c) => {
    const [count, value] = [Number(ofColumns[2 * c]), ofColumns[2 * c + 1]];
    if (count === 0) return [];
    const problem = `${files.name}: Expected ${expected} in column ${name(column)} but received ${JSON.stringify(value)}`;
    if (skipBad) return [problem];
    const more = count > 1 ? `, and ${count - 1} more such rows` : "";
    throw new ShortlistError("ERR_TABLE", `${problem}${more}. Leave such rows out with --on-bad-line skip`);
  });
  const rejects =
    skipBad && form.format === "csv"
      ? await session.rows("SELECT line, any_value(error_message) FROM reject_errors GROUP BY line ORDER BY line")
      : [];
  const leftOut = {
    withoutUser: Number(withoutUser),
    withoutItem: Number(withoutItem),
    withBadValue,
    badLines: rejects.length,
    problems: [
      ...rejects.slice(0, LISTED).map(([line, message]) => `${files.name}:${line}: ${String(message).split("\n")[0]}`),
      ...problems,
    ],
  };
  return { leftOut, rows: Number(rows), events: Number(events) };
}
