import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ShortlistError } from "../../errors.js";
import { TableSession } from "./duckdb.js";
import { formOf } from "./file_form.js";

/**
 * Whether these inputs are click logs (true) or tables (false). Throws ERR_TABLE if they are some of each. A path that
 * is not a regular file, such as a named pipe, counts as a click log, because looking into it would consume its start.
 * A folder or a pattern is a table.
 */
export async function areClickLogs(paths: readonly string[], signal?: AbortSignal): Promise<boolean> {
  const kinds: boolean[] = [];
  for (const path of paths) kinds.push(await isClickLog(path, signal));
  if (new Set(kinds).size < 2) return kinds[0] ?? false;
  const [log, table] = [paths[kinds.indexOf(true)], paths[kinds.indexOf(false)]];
  throw new ShortlistError("ERR_TABLE", `Expected click logs or tables but received both: ${log} and ${table}`);
}

async function isClickLog(path: string, signal: AbortSignal | undefined): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return !/[*?]/.test(path);
  if (!found.isFile()) return !found.isDirectory();
  let folder: string | undefined;
  try {
    // A session is needed only to look into a zstd file.
    const form = await formOf(path, async (read) => {
      folder = await mkdtemp(join(tmpdir(), "shortlist-tables-"));
      return TableSession.with(join(folder, "session"), signal, read);
    });
    return form.format === "click-log";
  } finally {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}
