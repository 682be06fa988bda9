import { ShortlistError } from "../../errors.js";
import { missingWords } from "../schema.js";
import { columnsNamed, plainName, searchColumnsNamed } from "./column_names.js";
import { name, type TableSession, text } from "./duckdb.js";
import { type FoundColumn, find, unitOf } from "./event_columns.js";
import { createRows, type EventTable, keyOf, type LocatedTable, timeOf } from "./event_table.js";
import type { SortedEvents } from "./read_events.js";
import type { SearchSource, TimeUnit } from "./table_source.js";

/** A table of searches whose form and columns are known, but which is not read yet. */
export interface SearchTable extends LocatedTable {
  readonly where: string | undefined;
  readonly columns: SearchColumns;
  readonly unit: TimeUnit | undefined;
  readonly found: readonly FoundColumn[];
}

/** Which columns have the users, the texts of the queries and the times. */
export interface SearchColumns {
  readonly user: string;
  readonly text: string;
  readonly time: string | null;
}

/** Searches sorted by user and time. Users and texts are given by their numbers. */
export interface SortedSearches {
  /** The distinct texts of queries. */
  readonly texts: readonly string[];
  /** [users + 1] Index of the first search of each user. */
  readonly offsets: Int32Array;
  /** [searches] Number of the text. */
  readonly textNumbers: Int32Array;
  /** [events] How many of its user's searches came before each event. Undefined if that is not known: all of them. */
  readonly before: Int32Array | undefined;
}

/** Counts of rows that are not used. */
export interface SearchRows {
  /** Rows without a user or a text. */
  readonly incomplete: number;
  /** Rows whose time is missing or cannot be read, if the table has times. */
  readonly withoutTime: number;
  /** Rows of users who have no event. */
  readonly withoutEvents: number;
}

const MOST = 2 ** 31 - 1;
const TABLE = "searches";

/** Makes a table readable in the session and finds out what its columns are. */
export async function understandSearches(
  session: TableSession,
  located: LocatedTable,
  given: SearchSource,
  { columns: events, unit: eventUnit, files: eventFiles }: EventTable,
  skipBad: boolean,
): Promise<SearchTable> {
  const found = await createRows(session, TABLE, located, given, skipBad);
  const columns = recogniseSearches(located.files.name, found, given, events.user);
  const time = found.find((column) => column.name === columns.time);
  const unit = time && (given.unit ?? unitOf(located.files.name, time));
  if (unit !== undefined && eventUnit !== undefined && (unit === "number") !== (eventUnit === "number")) {
    throw new ShortlistError(
      "ERR_TABLE",
      `${located.files.name}: Expected times of the clock that the events have, but those in column "${columns.time}" and those in column "${events.time}" of ${eventFiles.name} are of different kinds: give "searches": {"unit": …} in --source`,
    );
  }
  return { ...located, where: given.where, columns, unit, found };
}

function recogniseSearches(
  table: string,
  columns: readonly FoundColumn[],
  given: SearchSource,
  eventUser: string,
): SearchColumns {
  const names = columns.map((column) => column.name);
  const same = names.filter((column) => plainName(column).toLowerCase() === plainName(eventUser).toLowerCase());
  const one = (what: "user" | "text", found: readonly string[]) => {
    if (found.length === 1) return found[0]!;
    throw new ShortlistError(
      "ERR_TABLE",
      `${table}: Expected one column of the ${what === "user" ? "user" : "texts of the searches"} but ${found.length === 0 ? "none" : found.join(" and ")} is known among ${names.join(", ")}. Name it as "searches": {"${what}": …} in --source`,
    );
  };
  const column = (what: "user" | "text", known: readonly string[]) =>
    given[what] === undefined ? one(what, known) : find(table, what, columns, given[what]);
  const user = column("user", same.length === 1 ? same : columnsNamed("user", names));
  const searched = column("text", searchColumnsNamed(names));
  const others = names.filter((other) => other !== user && other !== searched);
  if (given.time !== undefined) {
    return { user, text: searched, time: given.time === null ? null : find(table, "time", columns, given.time) };
  }
  const times = columnsNamed("time", others);
  if (times.length > 1) {
    throw new ShortlistError(
      "ERR_TABLE",
      `${table}: Expected one column of the time but ${times.join(" and ")} may be. Name it as "searches": {"time": …} in --source`,
    );
  }
  return { user, text: searched, time: times[0] ?? null };
}

/** Reads the searches of the users of the events, sorted by user and time; see `SortedSearches`. */
export async function readSearches(
  session: TableSession,
  { columns, unit, found }: SearchTable,
  events: SortedEvents,
  missing: readonly string[],
): Promise<{ readonly searches: SortedSearches; readonly rows: SearchRows }> {
  const column = (wanted: string) => found.find((one) => one.name === wanted)!;
  const time = columns.time === null ? undefined : timeOf(column(columns.time), unit!);
  const words = [...missingWords({ columns: [], click: [], missing })].map(text).join(", ");
  const query = `CAST(${name(columns.text)} AS VARCHAR)`;
  await session.run(
    `CREATE TEMP TABLE searches_read AS SELECT CAST(${keyOf(column(columns.user), missing)} AS VARCHAR) AS u,
       CASE WHEN ${query} IN (${words}) THEN NULL ELSE ${query} END AS q${time ? `, ${time.order} AS t` : ""}
     FROM ${TABLE}_rows`,
  );
  const { users } = events;
  const isKnown = `u IS NOT NULL AND q IS NOT NULL${time ? " AND t IS NOT NULL" : ""}`;
  const used = `searches_read JOIN ${users.table} AS users ON users.token = u WHERE ${isKnown}`;
  const [[incomplete, withoutTime, known]] = (await session.rows(
    `SELECT count(*) FILTER (u IS NULL OR q IS NULL), ${time ? "count(*) FILTER (u IS NOT NULL AND q IS NOT NULL AND t IS NULL)" : "0"},
       count(*) FILTER (${isKnown}) FROM searches_read`,
  )) as [unknown[]];
  const [[count]] = (await session.rows(`SELECT count(*) FROM ${used}`)) as [[bigint]];
  const searches = Number(count);
  if (searches > MOST) {
    throw new ShortlistError("ERR_DATASET", `Expected at most ${MOST} searches but received ${searches}`);
  }
  const { table: textTable, texts } = await numberTexts(session, used);
  const textNumbers = new Int32Array(searches);
  const offsets = new Int32Array(users.size + 1);
  const times = time && events.times && new Float64Array(searches);
  const sql = `SELECT un, qn${times ? `, CAST(${time!.value} AS DOUBLE)` : ""} FROM (
      SELECT users.number AS un, texts.number AS qn${time ? ", t" : ""}, searches_read.rowid AS row
      FROM searches_read JOIN ${users.table} AS users ON users.token = u JOIN ${textTable} AS texts ON texts.token = q
      WHERE ${isKnown}
    ) ORDER BY un${time ? ", t" : ""}, row`;
  let at = 0;
  for await (const rows of session.stream(sql)) {
    const userNumbers = rows.int32(0);
    textNumbers.set(rows.int32(1), at);
    times?.set(rows.float64(2), at);
    for (let row = 0; row < rows.count; row++) offsets[userNumbers[row]! + 1] = at + row + 1;
    at += rows.count;
  }
  for (let user = 0; user < users.size; user++) offsets[user + 1] = Math.max(offsets[user]!, offsets[user + 1]!);
  if (times && time.unitsASecond !== 1) {
    for (let search = 0; search < times.length; search++) times[search]! /= time.unitsASecond;
  }
  const before = countBefore(events, offsets, times);
  const sorted = { texts, offsets, textNumbers, before };
  return {
    searches: before ? withoutUnseen(sorted, events.offsets, before) : sorted,
    rows: {
      ...{ incomplete: Number(incomplete), withoutTime: Number(withoutTime) },
      withoutEvents: Number(known) - searches,
    },
  };
}

/** Returns the searches without those that come after the last event of their user. */
function withoutUnseen(
  { texts, offsets, textNumbers }: SortedSearches,
  eventOffsets: Int32Array,
  before: Int32Array,
): SortedSearches {
  const seen = new Int32Array(offsets.length);
  for (let user = 0; user < offsets.length - 1; user++) {
    const count = before[eventOffsets[user + 1]! - 1]!;
    textNumbers.copyWithin(seen[user]!, offsets[user]!, offsets[user]! + count);
    seen[user + 1] = seen[user]! + count;
  }
  return { texts, offsets: seen, textNumbers: textNumbers.subarray(0, seen.at(-1)!), before };
}

/** Numbers the distinct texts of the searches that are used, in a table with the columns token and number. */
async function numberTexts(
  session: TableSession,
  used: string,
): Promise<{ readonly table: string; readonly texts: readonly string[] }> {
  const table = "numbered_q";
  await session.run(`CREATE TEMP TABLE ${table}_keys AS SELECT token FROM (SELECT DISTINCT q AS token FROM ${used})`);
  await session.run(`CREATE TEMP VIEW ${table} AS SELECT token, CAST(rowid AS INTEGER) AS number FROM ${table}_keys`);
  const texts: string[] = [];
  // A table is read in the order in which its rows were written.
  for await (const rows of session.stream(`SELECT token FROM ${table}_keys`)) {
    for (const token of rows.values(0)) texts.push(token as string);
  }
  return { table, texts };
}

/**
 * [events] How many searches of an event's user have an earlier time than the event. An event without a time is before
 * all searches.
 */
function countBefore(
  { offsets: eventOffsets, times: eventTimes }: SortedEvents,
  offsets: Int32Array,
  times: Float64Array | undefined,
): Int32Array | undefined {
  if (!times || !eventTimes) return undefined;
  const before = new Int32Array(eventTimes.length);
  for (let user = 0; user < offsets.length - 1; user++) {
    let search = offsets[user]!;
    for (let event = eventOffsets[user]!; event < eventOffsets[user + 1]!; event++) {
      while (search < offsets[user + 1]! && times[search]! < eventTimes[event]!) search++;
      before[event] = search - offsets[user]!;
    }
  }
  return before;
}
