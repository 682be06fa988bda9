import { stat } from "node:fs/promises";
import { ShortlistError } from "../../errors.js";
import { TableSession } from "./duckdb.js";
import { type CsvForm, type FileForm, formOf } from "./file_form.js";

/**
 * Whether these inputs are click logs (true) or tables (false). Throws ERR_TABLE if they are some of each. A path that
 * is not a regular file, such as a named pipe, counts as a click log, because looking into it would consume its start.
 * A folder or a pattern is a table.
 */
export async function areClickLogs(paths: readonly string[], signal?: AbortSignal): Promise<boolean> {
  return areAll(paths, (path) => hasForm(path, signal, ({ format }) => format === "click-log"));
}

async function areAll(paths: readonly string[], isLog: (path: string) => Promise<boolean>): Promise<boolean> {
  const kinds: boolean[] = [];
  for (const path of paths) kinds.push(await isLog(path));
  if (new Set(kinds).size < 2) return kinds[0] ?? false;
  const [log, table] = [paths[kinds.indexOf(true)], paths[kinds.indexOf(false)]];
  throw new ShortlistError("ERR_TABLE", `Expected click logs or tables but received both: ${log} and ${table}`);
}

/**
 * Whether these inputs are tables of items rather than click logs of any schema. Text between tabs or semicolons is a
 * log unless it has names of columns. Throws ERR_TABLE if they are some of each.
 */
export async function areItemTables(paths: readonly string[], signal?: AbortSignal): Promise<boolean> {
  const isLog = async (path: string) =>
    hasForm(path, signal, (form) => form.format === "click-log" || (form.format === "csv" && isLogText(form)));
  return !(await areAll(paths, isLog));
}

const isLogText = ({ separator, header }: CsvForm) => !header && (separator === "\t" || separator === ";");

/**
 * Whether the form of a file passes a test. What is no regular file counts as a log, a folder or a pattern as a table.
 */
async function hasForm(
  path: string,
  signal: AbortSignal | undefined,
  isLog: (form: FileForm) => boolean,
): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return !/[*?]/.test(path);
  if (!found.isFile()) return !found.isDirectory();
  // A session is needed only to look into a zstd file.
  return isLog(await formOf(path, (read) => TableSession.temporary(signal, read)));
}
