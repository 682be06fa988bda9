import { constants, unlinkSync } from "node:fs";
import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ShortlistError } from "../errors.js";
import { lockFile } from "../platform/files.js";
import { fileError, hasCode } from "./files.js";
import { lockNameOf } from "./hidden_names.js";
import { whileUnfinished } from "./unfinished.js";

/** Name of the lock file inside an output folder, used if no file can be created beside the folder. */
export const LOCK_INSIDE = ".output.lock";

/** The content of a lock file: who holds the lock. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly since: string;
  readonly command: string;
}

/**
 * The right to write an output. While it is held, other processes that want to write the same output fail with
 * ERR_BUSY. The operating system releases it when the process ends, so nothing needs to be cleaned up after a kill.
 *
 * Two things are locked. The first is a hidden file beside the output (or inside it, if no file can be created beside
 * it), which says who holds the lock. The second is the output folder itself, so that other paths to it (another mount,
 * another user) lead to the same lock. If the system has no such locks, or the addon is missing, nothing is locked.
 */
export class Lock {
  readonly #handles: readonly FileHandle[];
  readonly #finish: (() => void) | undefined;
  /** Whether it keeps other processes away. */
  readonly isReal: boolean;

  private constructor(handles: readonly FileHandle[], finish: (() => void) | undefined) {
    this.#handles = handles;
    this.#finish = finish;
    this.isReal = finish !== undefined;
  }

  /** Locks the output at `target`. Messages call it `name`. Throws ERR_BUSY if another process holds the lock. */
  static async acquire(target: string, name: string): Promise<Lock> {
    const files = [join(dirname(target), lockNameOf(basename(target))), join(target, LOCK_INSIDE)];
    const folder = await lockAt(target, constants.O_RDONLY | constants.O_DIRECTORY);
    if (folder === "held") throw await busyError(name, files);
    const handles = typeof folder === "object" ? [folder] : [];
    let finish: (() => void) | undefined;
    try {
      let problem: unknown;
      for (const path of files) {
        const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
        const file = await lockAt(path, flags).catch((error) => {
          problem ??= error;
        });
        if (file === "held") throw await busyError(name, files);
        if (file === "unsupported") return new Lock(handles, undefined);
        if (!file) continue;
        handles.push(file);
        finish = whileUnfinished(() => unlinkSync(path));
        await file.truncate();
        await file.write(JSON.stringify(holder()), 0);
        return new Lock(handles, finish);
      }
      throw fileError("write", name, problem);
    } catch (error) {
      finish?.();
      for (const handle of handles) await handle.close();
      throw error;
    }
  }

  async release(): Promise<void> {
    this.#finish?.();
    for (const handle of this.#handles) await handle.close();
  }
}

/** Returns a locked handle; "held" if another process has the lock; undefined if there is no folder to lock. */
async function lockAt(path: string, flags: number): Promise<FileHandle | "held" | "unsupported" | undefined> {
  for (;;) {
    const handle = await open(path, flags, 0o666).catch((error) => {
      if (!(flags & constants.O_CREAT)) return undefined;
      throw error;
    });
    if (!handle) return undefined;
    const outcome = lockFile(handle.fd);
    if (outcome === "locked") {
      const [mine, there] = [await handle.stat(), await stat(path).catch(() => undefined)];
      if (mine.ino === there?.ino && mine.dev === there.dev) return handle;
      // The process that held the lock has removed or replaced the file meanwhile.
      await handle.close();
      continue;
    }
    await handle.close();
    if (outcome === "unsupported" && flags & constants.O_CREAT) unlinkSync(path);
    return outcome;
  }
}

function holder(): Holder {
  const command = ["shortlist", ...process.argv.slice(2)].join(" ");
  return { pid: process.pid, host: hostname(), since: new Date().toISOString(), command };
}

/** How often, and after how many milliseconds each, a lock file is read again whose holder has not written to it yet. */
const [TRIES, MS_BETWEEN_TRIES] = [20, 10];

async function busyError(name: string, files: readonly string[]): Promise<ShortlistError> {
  let found = await holderIn(files);
  for (let tries = 1; found === "unwritten" && tries < TRIES; tries++) {
    await pause(MS_BETWEEN_TRIES);
    found = await holderIn(files);
  }
  const who =
    typeof found === "object"
      ? `process ${found.pid} on ${found.host} (${found.command}, since ${found.since})`
      : "another process";
  return new ShortlistError(
    "ERR_BUSY",
    `Cannot write ${name}: ${who} is writing it. Wait until that ends, or choose another output`,
  );
}

/** Who holds the lock; "unwritten" if a lock file has no whole content, because it was locked a moment ago. */
async function holderIn(files: readonly string[]): Promise<Holder | "unwritten" | undefined> {
  let unwritten = false;
  for (const file of files) {
    try {
      return JSON.parse(await readFile(file, "utf8")) as Holder;
    } catch (error) {
      if (error instanceof SyntaxError) unwritten = true;
      else if (!hasCode(error, "ENOENT") && !hasCode(error, "ENOTDIR")) break;
    }
  }
  return unwritten ? "unwritten" : undefined;
}
