import { type Stats, statSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { ShortlistError } from "../../errors.js";
import { fileError } from "../files.js";
import { type TableSession, text } from "./duckdb.js";

/** The files of a table, with their states before it is read. */
export interface TableFiles {
  /** Name of the table in messages. */
  readonly name: string;
  /** Name without folders, which the dataset keeps. */
  readonly label: string;
  readonly paths: readonly string[];
  readonly bytes: number;
  readonly states: readonly string[];
}

/** Name of `-` in messages. */
const STANDARD_INPUT = "standard input";
const PATTERN = /[*?[\]]/;
const DATA_NAME = /\.(parquet|pq|csv|tsv|txt|json|jsonl|ndjson)(\.(gz|zst))?$/i;

/**
 * Returns the files that paths, folders and patterns lead to, sorted by name. A folder stands for all data files below
 * it, and `-` for the file `standardInput`. Throws ERR_FILE if a file cannot be read or a pattern matches none.
 */
export async function filesOf(
  patterns: readonly string[],
  session: TableSession,
  standardInput: string | undefined,
): Promise<TableFiles> {
  const paths: string[] = [];
  for (const pattern of patterns) {
    paths.push(...(pattern === "-" && standardInput ? [standardInput] : await expand(pattern, session)));
  }
  const found: Stats[] = [];
  for (const path of paths) found.push(await statOf(path));
  const [first] = patterns as [string];
  const more = patterns.length > 1 ? ` and ${patterns.length - 1} more` : "";
  return {
    name: `${first === "-" ? STANDARD_INPUT : first}${more}`,
    label: `${first === "-" ? STANDARD_INPUT : basename(first)}${more}`,
    paths: paths.map((path) => resolve(path)),
    bytes: found.reduce((sum, { size }) => sum + size, 0),
    states: found.map(stateOf),
  };
}

async function expand(pattern: string, session: TableSession): Promise<string[]> {
  const found = await stat(pattern).catch(() => undefined);
  if (found && !found.isDirectory()) return [pattern];
  let files: string[];
  if (found) {
    const names = await readdir(pattern, { recursive: true });
    files = names
      .filter((name) => DATA_NAME.test(name) && !/(^|[/\\])[._]/.test(name))
      .map((name) => join(pattern, name));
  } else if (PATTERN.test(pattern)) {
    files = (await session.rows(`SELECT file FROM glob(${text(pattern)})`)).map(([file]) => String(file));
  } else {
    return [pattern];
  }
  if (files.length > 0) return files.sort();
  const what = found ? "it is a folder without files of CSV, JSON lines or Parquet" : "no file has such a name";
  throw new ShortlistError("ERR_FILE", `Cannot read the table ${pattern}: ${what}`);
}

async function statOf(path: string): Promise<Stats> {
  return stat(path).catch((error) => {
    throw fileError("read the table", path, error);
  });
}

/** Throws ERR_TABLE if a file has changed since it was found. */
export function checkUnchanged({ paths, states }: TableFiles): void {
  const changed = paths.find((path, i) => {
    try {
      return stateOf(statSync(path)) !== states[i];
    } catch {
      return true;
    }
  });
  if (changed === undefined) return;
  throw new ShortlistError("ERR_TABLE", `${changed}: The file changed while it was read: prepare it again`);
}

function stateOf({ size, mtimeMs, ino, dev }: Stats): string {
  return [dev, ino, size, mtimeMs].join();
}
