import { nearestName, ShortlistError } from "../../errors.js";
import { separatorOfIds } from "../id_lists.js";
import { columnsNamed, type EventRole, plainName, saysList } from "./column_names.js";
import { name, text } from "./duckdb.js";
import type { EventSource, TimeUnit } from "./table_source.js";

/** A column of a table, with its first values. */
export interface FoundColumn {
  readonly name: string;
  /** DuckDB's name of the column's type. */
  readonly type: string;
  /** The values of the first rows as text; null if missing. */
  readonly values: readonly (string | null)[];
}

/** Which columns have the users, the items, the times, the weights and other numbers of events. */
export interface EventColumns {
  readonly user: string;
  readonly item: string;
  readonly time: string | null;
  /** Undefined if events have no weights. */
  readonly weight?: string;
  /** Undefined if events have no numbers. */
  readonly numbers?: readonly string[];
}

const OPTION: Readonly<Record<EventRole, string>> = { user: "--user", item: "--item", time: "--time" };

/**
 * Finds the columns of the users, the items and the times: the given ones, or else those whose names or types say so.
 * Weights and numbers must be given.
 * Throws ERR_TABLE that lists the candidates if that is ambiguous, or if a row of the table is a sequence of items
 * instead of an event.
 */
export function recogniseEvents(table: string, columns: readonly FoundColumn[], given: EventSource): EventColumns {
  const user = given.user !== undefined ? find(table, "user", columns, given.user) : guess(table, "user", columns);
  const item = given.item !== undefined ? find(table, "item", columns, given.item) : guess(table, "item", columns);
  if (user === undefined || item === undefined) return failUnknown(table, columns, user, item);
  if (user === item) {
    throw new ShortlistError(
      "ERR_TABLE",
      `${table}: Expected two columns for user and item but received "${user}" twice`,
    );
  }
  const numbers = given.numbers?.map((number) => find(table, "number", columns, number));
  const repeated = numbers?.find((number, n) => numbers.indexOf(number) < n);
  if (repeated !== undefined) {
    throw new ShortlistError(
      "ERR_TABLE",
      `${table}: Expected different columns of numbers but received "${repeated}" twice`,
    );
  }
  checkOneItem(table, columns.find((column) => column.name === item)!, user);
  const others = columns.filter((column) => column.name !== user && column.name !== item);
  const time = given.time === undefined ? guessTime(table, others) : given.time;
  return {
    ...{ user, item, time: time === null ? null : find(table, "time", columns, time) },
    ...(given.weight !== undefined && { weight: find(table, "weight", columns, given.weight) }),
    ...(numbers && { numbers }),
  };
}

/**
 * Returns the column that a given name means: the column of that name, or the only one with that name apart from the
 * suffix of an atomic file and capitals.
 */
export function find(table: string, what: string, columns: readonly FoundColumn[], given: string): string {
  const names = columns.map((column) => column.name);
  const plain = (column: string) => plainName(column).toLowerCase();
  const same = names.filter((column) => plain(column) === plain(given));
  if (names.includes(given)) return given;
  if (same.length === 1) return same[0]!;
  const near = nearestName(given, names);
  throw new ShortlistError(
    "ERR_TABLE",
    `${table}: Expected the ${what} in a column of the table but there is none named "${given}".${near ? ` Did you mean "${near}"?` : ""} Its columns: ${describe(columns)}`,
  );
}

function guess(table: string, role: EventRole, columns: readonly FoundColumn[]): string | undefined {
  const found = columnsNamed(
    role,
    columns.map((column) => column.name),
  );
  if (found.length <= 1) return found[0];
  const candidates = columns.filter((column) => found.includes(column.name));
  throw new ShortlistError(
    "ERR_TABLE",
    `${table}: Expected one column of the ${role} but ${found.length} may be: ${describe(candidates)}. Choose one with ${OPTION[role]}`,
  );
}

/** Returns the column of the times by its name, or else the only column whose type is a time. */
function guessTime(table: string, columns: readonly FoundColumn[]): string | null {
  const named = guess(table, "time", columns);
  if (named !== undefined) return named;
  const typed = columns.filter(({ type }) => /^(TIMESTAMP|DATE)/.test(type));
  return typed.length === 1 ? typed[0]!.name : null;
}

function failUnknown(
  table: string,
  columns: readonly FoundColumn[],
  user: string | undefined,
  item: string | undefined,
): never {
  const missing = [...(user === undefined ? ["user"] : []), ...(item === undefined ? ["item"] : [])];
  const options = missing.map((role) => `--${role}`).join(" and ");
  const sequence = item === undefined ? columns.find(isSequence) : undefined;
  const hint = sequence ? `. Column "${sequence.name}" holds a sequence. ${sequenceHint(sequence, user)}` : "";
  throw new ShortlistError(
    "ERR_TABLE",
    `${table}: Expected a row to be an event, with a column of the ${missing.join(" and one of the ")}, but no name says which. Choose with ${options}. Its columns: ${describe(columns)}${hint}`,
  );
}

/**
 * Throws ERR_TABLE if the column of items has whole histories, since each would count as one item that nobody else has.
 */
function checkOneItem(table: string, column: FoundColumn, user: string): void {
  if (!isSequence(column)) return;
  throw new ShortlistError(
    "ERR_TABLE",
    `${table}: Expected one item a row but column "${column.name}" holds several: ${samplesOf(column)[0]}. ${sequenceHint(column, user)}`,
  );
}

function sequenceHint(column: FoundColumn, user: string | undefined): string {
  const separator = separatorOf(column) ?? " ";
  const values = isListType(column) ? name(column.name) : `string_split(${name(column.name)}, ${text(separator)})`;
  const query = `SELECT ${name(user ?? "user")} AS user_id, unnest(${values}) AS item_id FROM events`;
  return `A row is to be an event: make a row of each item with ${JSON.stringify({ events: { query } })} in --source`;
}

const isListType = ({ type }: FoundColumn) => /(\[\d*\]|^LIST)/.test(type);

/** Whether most values of a column consist of several ids. */
function isSequence(column: FoundColumn): boolean {
  return isListType(column) || saysList(column.name) || separatorOf(column) !== undefined;
}

function separatorOf({ values }: FoundColumn): string | undefined {
  return separatorOfIds(values.filter((value): value is string => value !== null));
}

/** Returns up to three distinct values of a column. */
export function samplesOf({ values }: FoundColumn): string[] {
  const different = new Set(values.filter((value): value is string => value !== null));
  return [...different].slice(0, 3).map((value) => (value.length > 30 ? `${value.slice(0, 29)}…` : value));
}

function describe(columns: readonly FoundColumn[]): string {
  const shown = columns.slice(0, 20).map((column) => `${column.name} (${samplesOf(column).join(", ")})`);
  return `${shown.join("; ")}${columns.length > 20 ? `; and ${columns.length - 20} more` : ""}`;
}

/** The range of numbers that count as Unix times in seconds: from March 1973 to 2103. */
const [UNIX_FIRST, UNIX_LAST] = [1e8, 4.2e9];
const PER_SECOND = { s: 1, ms: 1e3, us: 1e6, ns: 1e9 } as const;

/**
 * Returns the unit of a column of times, judged by the median of its numbers. Throws ERR_TABLE if its values are not
 * times.
 */
export function unitOf(table: string, { name: column, type, values }: FoundColumn): TimeUnit {
  if (/^(TIMESTAMP|DATE)/.test(type)) return "date";
  const texts = values.filter((value): value is string => value !== null);
  const numbers = texts.map((value) => (value.trim() === "" ? Number.NaN : Number(value))).filter(Number.isFinite);
  if (numbers.length < texts.length / 2) {
    const dates = texts.filter((value) => /^\d{4}-\d{1,2}-\d{1,2}/.test(value.trim()));
    if (dates.length > texts.length / 2) return "date";
    throw new ShortlistError(
      "ERR_TABLE",
      `${table}: Expected times in column "${column}", numbers or dates such as 2026-11-28T21:56:36Z, but received ${JSON.stringify(texts[0])}. Choose another column with --time, none with --no-time, or make times of them with a query in --source: strptime(${name(column)}, '%d/%m/%Y')`,
    );
  }
  const middle = Math.abs(numbers.sort((a, b) => a - b)[numbers.length >> 1] ?? 0);
  for (const [unit, scale] of Object.entries(PER_SECOND)) {
    if (middle >= UNIX_FIRST * scale && middle < UNIX_LAST * scale) return unit as TimeUnit;
  }
  return "number";
}
