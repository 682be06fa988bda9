import { ShortlistError } from "../../errors.js";
import { missingWords } from "../schema.js";
import { columnsNamed, plainName } from "./column_names.js";
import { name, type TableSession, text } from "./duckdb.js";
import { type EventColumns, type FoundColumn, find, recogniseEvents, unitOf } from "./event_columns.js";
import { type FileForm, firstRows, formOf, readerOf, type TableForm } from "./file_form.js";
import { filesOf, type TableFiles } from "./table_files.js";
import type { EventSource, GivenForm, TimeUnit } from "./table_source.js";

/** A table of events whose form and columns are known, but which is not read yet. */
export interface EventTable {
  readonly files: TableFiles;
  readonly form: TableForm;
  readonly columns: EventColumns;
  readonly unit: TimeUnit | undefined;
  readonly found: readonly FoundColumn[];
}

/** The files of a table, and their form. */
export interface LocatedTable {
  readonly files: TableFiles;
  readonly form: TableForm;
}

/** Number of rows that are read to find out what the columns are. */
const SAMPLE_ROWS = 5000;
/** Name of the session's view of the rows that meet the condition. */
export const EVENT_ROWS = "events_rows";

/** Finds the files of a table and their form. Reads only the beginnings of the files. */
export async function locate(
  session: TableSession,
  given: GivenForm & Pick<EventSource, "files">,
  standardInput: string | undefined,
): Promise<LocatedTable> {
  const files = await filesOf(given.files ?? [], session, standardInput);
  const found = given.format && isWhole(given) ? undefined : await formOf(files.paths[0]!, (read) => read(session));
  return { files, form: formFrom(files.name, given, found) };
}

/** Whether a given form is complete, so that nothing needs to be found out. */
function isWhole({ format, compression, separator, header, quotes, encoding }: GivenForm): boolean {
  if (format === "parquet") return true;
  const needed = format === "csv" ? [compression, separator, header, quotes, encoding] : [compression];
  return needed.every((value) => value !== undefined);
}

function formFrom(table: string, given: GivenForm, found: FileForm | undefined): TableForm {
  const { format, compression, separator, header, quotes, encoding } = given;
  const fallback: TableForm = {
    ...{ format: "csv", compression: "none", separator: "\t", header: false, quotes: false, encoding: "utf-8" },
  } as TableForm;
  const known = !found || found.format === "click-log" ? fallback : found;
  const chosen = format ?? known.format;
  if (chosen !== known.format && found && found.format !== "click-log") {
    throw new ShortlistError("ERR_TABLE", `${table}: Expected ${format} but the file looks like ${found.format}`);
  }
  if (chosen === "parquet") return { format: "parquet" };
  const base = { ...fallback, ...known } as Required<Exclude<TableForm, { format: "parquet" | "json" }>>;
  if (chosen === "json") return { format: "json", compression: compression ?? base.compression };
  return {
    format: "csv",
    compression: compression ?? base.compression,
    separator: separator ?? base.separator,
    header: header ?? base.header,
    quotes: quotes ?? base.quotes,
    encoding: encoding ?? base.encoding,
  };
}

/**
 * Makes a table readable in the session, whose files are already locked, and finds out what its columns are. Throws
 * ERR_TABLE if that is ambiguous.
 */
export async function understand(
  session: TableSession,
  { files, form }: LocatedTable,
  given: EventSource,
  skipBad: boolean,
): Promise<EventTable> {
  const found = await createRows(session, "events", { files, form }, given, skipBad);
  const columns = recogniseEvents(files.name, found, given);
  const time = found.find((column) => column.name === columns.time);
  return { files, form, columns, unit: time && (given.unit ?? unitOf(files.name, time)), found };
}

/**
 * Creates the view `table` of files and `table`_rows of the rows that a query or condition leaves. Returns the columns of
 * the latter with their first values; throws ERR_TABLE if there is no row.
 */
export async function createRows(
  session: TableSession,
  table: string,
  located: LocatedTable,
  given: SqlOfTable,
  skipBad: boolean,
): Promise<FoundColumn[]> {
  await createView(session, table, located, given, skipBad);
  const condition = given.where === undefined ? "" : ` WHERE (\n${given.where}\n)`;
  const rows = given.query ?? `SELECT * FROM ${table}`;
  await session.run(`CREATE VIEW ${table}_rows AS SELECT * FROM (\n${rows}\n)${condition}`);
  const found = await lookAt(session, `${table}_rows`);
  if (found[0]?.values.length !== 0) return found;
  const which = given.where === undefined ? "a row" : `a row for which ${given.where}`;
  throw new ShortlistError("ERR_TABLE", `${located.files.name}: Expected at least ${which} but received none`);
}

/** What is said of a table in SQL, and its columns of ids. */
type SqlOfTable = Pick<EventSource, "query" | "where" | "user" | "item"> & { readonly text?: string | undefined };

/**
 * Creates a view of files. Values of text files and JSON stay text, so that ids keep leading zeros. A column that the
 * given SQL mentions is a number if its first values are, unless it is the user or the item.
 */
async function createView(
  session: TableSession,
  view: string,
  { files, form }: LocatedTable,
  { query = "", where = "", user, item, text: searched }: SqlOfTable,
  skipBad: boolean,
): Promise<void> {
  const columns = await columnsOf(session, files, form);
  const sql = `${query} ${where}`.toLowerCase();
  const names = columns.map((column) => column.name);
  const given =
    query === ""
      ? [user, item, searched].flatMap((id) => (id === undefined ? [] : [find(files.name, "id", columns, id)]))
      : [];
  const ids = [...given, ...columnsNamed("user", names), ...columnsNamed("item", names)];
  const typeOf = ({ name, type }: FoundColumn) => {
    if (sql.includes(plainName(name).toLowerCase()) && !ids.includes(name)) return type;
    return type.endsWith("[]") ? "VARCHAR[]" : "VARCHAR";
  };
  const types = form.format === "parquet" ? undefined : new Map(columns.map((column) => [column.name, typeOf(column)]));
  await session.run(`CREATE VIEW ${view} AS SELECT * FROM ${readerOf(form, files.paths, types, skipBad)}`);
}

/** Returns the names and types of the columns. Throws ERR_TABLE if several text files do not have the same columns. */
async function columnsOf(
  session: TableSession,
  { name: table, paths }: TableFiles,
  form: TableForm,
): Promise<FoundColumn[]> {
  if (form.format !== "csv") {
    const described = await session.rows(`DESCRIBE SELECT * FROM ${readerOf(form, paths, undefined, false)}`);
    return described.map(([column, type]) => ({ name: String(column), type: String(type), values: [] }));
  }
  const { names, rows } = await firstRows(paths[0]!, form, (read) => read(session));
  if (new Set(names).size < names.length || names.includes("")) {
    throw new ShortlistError(
      "ERR_TABLE",
      `${table}: Expected columns with different names but received ${names.join(", ")}`,
    );
  }
  for (const path of paths.slice(1)) {
    const others = (await firstRows(path, form, (read) => read(session))).names;
    if (others.join("\0") === names.join("\0")) continue;
    throw new ShortlistError(
      "ERR_TABLE",
      `${path}: Expected the columns of ${paths[0]}, ${names.join(", ")}, but received ${others.join(", ")}`,
    );
  }
  return names.map((column, i) => {
    const values = rows.flatMap((row) => (row[i] ? [row[i]] : []));
    return { name: column, type: typeOfTexts(values), values: [] };
  });
}

function typeOfTexts(values: readonly string[]): string {
  if (values.length === 0) return "VARCHAR";
  if (values.every((value) => /^-?(0|[1-9]\d{0,17})$/.test(value))) return "BIGINT";
  return values.every((value) => Number.isFinite(Number(value))) ? "DOUBLE" : "VARCHAR";
}

/** Returns the columns of a table with the values of its first rows. */
async function lookAt(session: TableSession, table: string): Promise<FoundColumn[]> {
  const described = await session.rows(`DESCRIBE SELECT * FROM ${table}`);
  const columns = described.map(([column, type]) => ({ name: String(column), type: String(type) }));
  const texts = columns.map((column) => `CAST(${name(column.name)} AS VARCHAR)`).join(", ");
  const rows = await session.rows(`SELECT ${texts} FROM ${table} LIMIT ${SAMPLE_ROWS}`);
  return columns.map((column, i) => ({ ...column, values: rows.map((row) => row[i] as string | null) }));
}

/** SQL of the weight of an event, a float; null unless it is a number of at least 0. */
export function weightOf(column: FoundColumn): string {
  return `CASE WHEN ${numberOf(column)} >= 0 THEN ${numberOf(column)} END`;
}

/** SQL of a number of an event, a float; null unless it is a number that float32 can hold. */
export function numberOf({ name: column }: FoundColumn): string {
  const number = `TRY_CAST(TRY_CAST(${name(column)} AS DOUBLE) AS FLOAT)`;
  return `CASE WHEN isfinite(${number}) THEN ${number} END`;
}

const IS_WHOLE = /^(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT))$/;

/** SQL of a column of users or items: null if missing; whole numbers stay numbers. */
export function keyOf({ name: column, type }: FoundColumn, missing: readonly string[]): string {
  if (IS_WHOLE.test(type)) return name(column);
  const value = type === "VARCHAR" ? name(column) : `CAST(${name(column)} AS VARCHAR)`;
  const words = [...missingWords({ columns: [], click: [], missing })].map(text).join(", ");
  return `CASE WHEN ${value} IN (${words}) THEN NULL ELSE ${value} END`;
}

/** SQL of the time of an event, and how it becomes seconds (or stays the number that it is, if its unit is not known). */
export interface TimeSql {
  /** Null if missing. Events are in the order of these values. */
  readonly order: string;
  /** The values of `t`, which `order` gave, as doubles: those of a unit of which `unitsASecond` are a second. */
  readonly value: string;
  readonly unitsASecond: number;
  /** Whether every value is a time or missing, because of the type of the column. */
  readonly isReadable: boolean;
  /** What `value` leaves out of `t`, from −999 to 999: values of `t` are in the order of `value`, then of this. */
  readonly remainder: string | undefined;
}

export function timeOf({ name: column, type }: FoundColumn, unit: TimeUnit): TimeSql {
  const raw = name(column);
  const isReadable = type.startsWith("TIMESTAMP") || /^U?(TINYINT|SMALLINT|INTEGER|BIGINT)$/.test(type);
  if (unit === "date") {
    const order = type.startsWith("TIMESTAMP") ? raw : `TRY_CAST(${raw} AS TIMESTAMPTZ)`;
    const remainder = type === "TIMESTAMP_NS" ? "epoch_ns(t) % 1000" : undefined;
    return { order, value: "epoch_us(t)", unitsASecond: 1e6, isReadable, remainder };
  }
  if (unit === "ns") {
    const order = /^U?BIGINT$/.test(type) ? raw : `TRY_CAST(${raw} AS BIGINT)`;
    // Divides to whole microseconds first, so that equal times have equal bits, whatever their unit was.
    return { order, value: "t // 1000", unitsASecond: 1e6, isReadable, remainder: "t % 1000" };
  }
  const number = `TRY_CAST(${raw} AS DOUBLE)`;
  const unitsASecond = { s: 1, ms: 1e3, us: 1e6, number: 1 }[unit];
  const order = `CASE WHEN isfinite(${number}) THEN ${number} END`;
  return { order, value: "t", unitsASecond, isReadable, remainder: undefined };
}
