import { isUtf8 } from "node:buffer";
import { constants as fileConstants } from "node:fs";
import { open } from "node:fs/promises";
import { constants, gunzipSync } from "node:zlib";
import { ShortlistError } from "../../errors.js";
import { fileError } from "../files.js";
import { type Compression, compressionOf } from "../sources/decompress.js";
import { looksLikeName } from "./column_names.js";
import { list, type TableSession, text } from "./duckdb.js";

/** The form of a file: a table, or a click log. */
export type FileForm = TableForm | { readonly format: "click-log" };

/** The form of the files of a table. */
export type TableForm = ParquetForm | JsonForm | CsvForm;

/** Apache Parquet. */
export interface ParquetForm {
  readonly format: "parquet";
}

/** JSON: one object per line, or one list of objects. */
export interface JsonForm {
  readonly format: "json";
  readonly compression: Compression;
}

/** Text with one row per line. */
export interface CsvForm {
  readonly format: "csv";
  readonly compression: Compression;
  /** Text between two columns. */
  readonly separator: string;
  /** Whether the first line has the names of the columns. Without it, columns are named 1, 2, 3 and so on. */
  readonly header: boolean;
  /** Whether values may be quoted with `"`. */
  readonly quotes: boolean;
  readonly encoding: Encoding;
}

/** Character encoding of a text file. */
export type Encoding = "utf-8" | "utf-16" | "latin-1";

/** Number of bytes at the start of a file from which its form is found out. */
const HEAD_BYTES = 256 * 1024;
const HEAD_LINES = 200;
const SEPARATORS = ["::", "\t", ",", ";", "|", "\u0001"];
/** Fraction of lines that must have the usual number of columns. */
const REGULAR = 0.9;
const CSV_NAME = /\.(csv|tsv|inter|item|user)(\.(gz|zst))?$/i;
/** The clicks of a line of the usual click log: `item:category:tag_tag;…`. */
const CLICKS = /^[^:;]+:[^:;]*:[^:;]*(;[^:;]+:[^:;]*:[^:;]*)*;?$/;

/** Calls `read` with a session. */
export type UseSession = <T>(read: (session: TableSession) => Promise<T>) => Promise<T>;

/**
 * Finds out the form of a file by its first bytes and its name. A session is used only for files compressed with zstd.
 */
export async function formOf(path: string, use: UseSession): Promise<FileForm> {
  const { bytes, compression } = await beginningOf(path, use);
  return bytes.subarray(0, 4).equals(PARQUET) ? { format: "parquet" } : formOfText(path, bytes, compression);
}

/** Returns the column names of a text table (1, 2, 3 and so on if it has none) and the cells of its first rows. */
export async function firstRows(
  path: string,
  { separator, header }: CsvForm,
  use: UseSession,
): Promise<{ readonly names: readonly string[]; readonly rows: readonly (readonly string[])[] }> {
  const { bytes } = await beginningOf(path, use);
  const lines = wholeLines(decode(bytes).content, bytes.length >= HEAD_BYTES);
  const rows = lines.map((line) => splitLine(line, separator).map(withoutQuotes));
  const [first = []] = rows;
  return header ? { names: first, rows: rows.slice(1) } : { names: first.map((_, i) => String(i + 1)), rows };
}

const PARQUET = Buffer.from("PAR1");

/** Returns the first bytes of the decompressed file, and its compression. */
async function beginningOf(
  path: string,
  use: UseSession,
): Promise<{ readonly bytes: Buffer; readonly compression: Compression }> {
  const bytes = await headOf(path);
  const compression = compressionOf(bytes);
  if (compression === "gzip") return { bytes: inflateHead(bytes), compression };
  if (compression === "zstd") return { bytes: await use((session) => zstdHead(path, session)), compression };
  return { bytes, compression };
}

/** Returns the first bytes of a file, padded with zeros to 4 bytes if it is shorter. */
async function headOf(path: string): Promise<Buffer> {
  try {
    const file = await open(path, fileConstants.O_RDONLY);
    try {
      const memory = Buffer.alloc(HEAD_BYTES);
      const { bytesRead } = await file.read(memory, 0, HEAD_BYTES, 0);
      return memory.subarray(0, Math.max(4, bytesRead));
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError("read the table", path, error);
  }
}

function inflateHead(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, HEAD_BYTES);
  } catch {
    return Buffer.alloc(0);
  }
}

/**
 * Reads the head of a zstd file through DuckDB, since Node 20 has no zstd: as a table of one column whose separator is
 * in no text.
 */
async function zstdHead(path: string, session: TableSession): Promise<Buffer> {
  const options = `compression='zstd', header=false, auto_detect=false, quote='', escape='', delim='\u0007', columns={'line': 'VARCHAR'}`;
  const lines = await session.rows(`SELECT line FROM read_csv(${list([path])}, ${options}) LIMIT ${HEAD_LINES}`);
  return Buffer.from(lines.map(([line]) => `${line ?? ""}\n`).join(""));
}

function formOfText(path: string, bytes: Buffer, compression: Compression): FileForm {
  const { content, encoding } = decode(bytes);
  const trimmed = content.trimStart();
  if (trimmed.startsWith("{") || /^\[\s*[{\]]/.test(trimmed)) return { format: "json", compression };
  const lines = wholeLines(content, bytes.length >= HEAD_BYTES);
  const separator = separatorOf(lines);
  if (separator === undefined) {
    if (CSV_NAME.test(path) && lines.length > 0) {
      throw new ShortlistError(
        "ERR_TABLE",
        `${path}: Expected columns between commas, tabs, ::, ; or | but no such character is in every line alike: name it as "separator" in --source`,
      );
    }
    return { format: "click-log" };
  }
  const rows = lines.map((line) => splitLine(line, separator));
  const header = hasHeader(rows);
  if (separator === "\t" && !header && isClickLog(rows)) return { format: "click-log" };
  const quotes = separator === "," || separator === ";" || rows.some((row) => row.some((cell) => /^".*"$/s.test(cell)));
  return { format: "csv", compression, separator, header, quotes, encoding };
}

/** Decodes bytes that may end within a character. */
function decode(bytes: Buffer): { readonly content: string; readonly encoding: Encoding } {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    return { content: new TextDecoder(bytes[0] === 0xff ? "utf-16le" : "utf-16be").decode(bytes), encoding: "utf-16" };
  }
  const end = bytes.lastIndexOf(10) + 1 || bytes.length;
  const whole = bytes.subarray(0, end);
  if (isUtf8(whole)) return { content: new TextDecoder().decode(whole), encoding: "utf-8" };
  return { content: whole.toString("latin1"), encoding: "latin-1" };
}

function wholeLines(content: string, isCut: boolean): string[] {
  const lines = content.split(/\r?\n/);
  if (isCut || lines.at(-1) === "") lines.pop();
  return lines.filter((line) => line !== "").slice(0, HEAD_LINES);
}

/**
 * Returns the separator that cuts (nearly) all lines into the same number of columns; if several do, the one with the
 * most columns. Undefined if none does.
 */
function separatorOf(lines: readonly string[]): string | undefined {
  let best: { readonly separator: string; readonly columns: number } | undefined;
  for (const separator of SEPARATORS) {
    const counts = lines.map((line) => splitLine(line, separator).length);
    const columns = counts[0] ?? 1;
    const regular = counts.filter((count) => count === columns).length;
    if (columns < 2 || regular < REGULAR * lines.length) continue;
    if (separator === "::") return separator;
    if (columns > (best?.columns ?? 1)) best = { separator, columns };
  }
  return best?.separator;
}

/** Splits a line into cells. A separator within quotes does not count. */
export function splitLine(line: string, separator: string): string[] {
  if (!line.includes('"')) return line.split(separator);
  const cells: string[] = [];
  let start = 0;
  for (let at = 0; at <= line.length; ) {
    if (at === start && line[at] === '"') {
      const end = closingQuote(line, at + 1);
      at = end < 0 ? at + 1 : end + 1;
    }
    if (at >= line.length || line.startsWith(separator, at)) {
      cells.push(line.slice(start, at));
      at += separator.length;
      start = at;
    } else {
      at++;
    }
  }
  if (line.endsWith(separator)) cells.push("");
  return cells;
}

/** Returns the index of the closing quote; −1 if the value does not end in this line. */
function closingQuote(line: string, from: number): number {
  for (let at = line.indexOf('"', from); at >= 0; at = line.indexOf('"', at + 2)) {
    if (line[at + 1] !== '"') return at;
  }
  return -1;
}

/**
 * Whether the first row has the names of the columns: none of its values is a number, and it differs from the rows
 * below.
 */
function hasHeader(rows: readonly (readonly string[])[]): boolean {
  const [first = [], ...others] = rows.map((row) => row.map(withoutQuotes));
  const isNumber = (cell: string) => cell.trim() !== "" && Number.isFinite(Number(cell));
  if (first.some((cell) => cell === "" || isNumber(cell)) || new Set(first).size < first.length) return false;
  const known = first.filter(looksLikeName).length;
  if (known >= 2 || (known >= 1 && others.length === 0)) return true;
  const hasNumbers = first.some((_, column) => others.some((row) => isNumber(row[column] ?? "")));
  return known >= 1 || (hasNumbers && first.every((cell) => /^[\p{L}_][\p{L}\p{N}_ .:()/-]*$/u.test(cell)));
}

function withoutQuotes(cell: string): string {
  return /^".*"$/s.test(cell) ? cell.slice(1, -1).replaceAll('""', '"') : cell;
}

/** The usual click log has five columns, the fourth with the clicks. Logs of another form need --schema. */
function isClickLog(rows: readonly (readonly string[])[]): boolean {
  const clicks = rows.filter((row) => row.some((cell) => CLICKS.test(cell))).length;
  return clicks > 0 || rows[0]!.length === 5;
}

/**
 * Returns the SQL that reads files of this form. `types` are the types of all columns of a text file. With `skip`,
 * broken rows are left out.
 */
export function readerOf(
  form: TableForm,
  files: readonly string[],
  types: ReadonlyMap<string, string> | undefined,
  skip: boolean,
): string {
  return `read_${form.format}(${[list(files.map(literal)), ...optionsOf(form, types, skip)].join(", ")})`;
}

function optionsOf(form: TableForm, types: ReadonlyMap<string, string> | undefined, skip: boolean): string[] {
  if (form.format === "parquet") return ["binary_as_string = true", "union_by_name = true"];
  const typed = [...(types ?? [])].map(([column, type]) => `${text(column)}: ${text(type)}`).join(", ");
  const common = [
    `compression = ${text(form.compression === "none" ? "uncompressed" : form.compression)}`,
    ...(typed ? [`columns = {${typed}}`] : []),
    `ignore_errors = ${skip}`,
  ];
  if (form.format === "json") return common;
  const { separator, header, quotes, encoding } = form;
  const quote = text(quotes ? '"' : "");
  return [
    ...common,
    "auto_detect = false",
    `delim = ${text(separator)}`,
    `header = ${header}`,
    `quote = ${quote}`,
    `escape = ${quote}`,
    `encoding = ${text(encoding)}`,
    ...(skip ? ["store_rejects = true"] : []),
  ];
}

/** Escapes the pattern characters in a path. */
function literal(path: string): string {
  return path.replace(/[[*?]/g, "[$&]");
}
