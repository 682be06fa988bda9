import { isUtf8 } from "node:buffer";
import { randomBytes } from "node:crypto";
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type ErrorCode, ShortlistError } from "../errors.js";

/** ERR_FILE with the reason that the operating system gave. */
export function fileError(action: string, path: string, cause: unknown): ShortlistError {
  if (cause instanceof ShortlistError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOENT: "it does not exist",
    EISDIR: "it is a folder",
    ENOTDIR: "a part of the path is not a folder",
    EACCES: "permission denied",
    ENOSPC: "the disk is full",
  };
  return new ShortlistError("ERR_FILE", `Cannot ${action} ${path}: ${reasons[code ?? ""] ?? message}`, { cause });
}

/** Whether an error of the operating system has this code, e.g. ENOENT. */
export function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === code;
}

/** Whether there is a file or folder of this name. */
export function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The text of a file that a person may have written, without a byte order mark; ERR_FILE where it is no UTF-8 text. */
export async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
    if (isUtf8(bytes)) return new TextDecoder().decode(bytes);
  } catch (error) {
    throw fileError("read", path, error);
  }
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  throw new ShortlistError(
    "ERR_FILE",
    `Cannot read ${path}: Expected UTF-8 text but received ${isUtf16 ? "UTF-16" : "other bytes"}`,
  );
}

/** A text as JSON; an error of `code` that begins with `path` where it is none. */
export function parseJson(text: string, path: string, code: ErrorCode): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ShortlistError(code, `${path}: Expected JSON but ${(cause as Error).message}`, { cause });
  }
}

/** A value as the text of a JSON file that people read. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** A hidden name beside `path`, on the same disk: what is renamed from it appears whole or not at all. */
function siblingOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.partial-${process.pid}-${randomBytes(4).toString("hex")}`);
}

/** Whether a name is of what a process means, or meant when it was stopped, to rename. */
export function isPartial(name: string): boolean {
  return /^\..+\.partial-\d+-[0-9a-f]{8}$/.test(name);
}

/** Whether it is to become `target`. */
export function isPartialOf(name: string, target: string): boolean {
  return isPartial(name) && name.startsWith(`.${target}.partial-`);
}

/** Throws ERR_FILE unless files can be written to a folder, which need not be there; it leaves none. */
export async function checkWritable(folder: string): Promise<void> {
  const file = siblingOf(join(folder, "check"));
  const undoParents = await makeParents(file);
  try {
    await writeFile(file, "").finally(() => rm(file, { force: true }));
  } catch (error) {
    throw asFileError("write", folder, error);
  } finally {
    await undoParents();
  }
}

/**
 * Writes a file under a temporary name beside `path` and renames it at the end, so that `path` is never half written:
 * after an error it is what it was before. Missing parent folders are made.
 */
export async function replaceFile(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = siblingOf(path);
  const undoParents = await makeParents(path);
  try {
    const file = await open(temporary, "wx");
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    await undoParents();
    throw asFileError("write", path, error);
  }
}

/**
 * Writes a folder under a temporary name beside `path` and renames it at the end. An existing folder is replaced only
 * if `checkReplaceable` (called before `write`) does not throw; it stays in place until the new one is complete, and
 * comes back if it cannot take its place. Its members named in `keep` move over to the new one.
 */
export async function replaceFolder<T>(
  path: string,
  checkReplaceable: (existing: string) => Promise<void>,
  write: (temporary: string) => Promise<T>,
  keep: readonly string[] = [],
): Promise<T> {
  let target = resolve(path);
  const exists = await lstat(target).then(
    () => true,
    () => false,
  );
  if (exists) {
    // A link to a folder stays a link: what it points to is replaced.
    target = await realpath(target).catch((error) => {
      throw asFileError("write", path, error);
    });
    await checkReplaceable(target);
  }
  const temporary = siblingOf(target);
  const undoParents = await makeParents(target);
  try {
    await mkdir(temporary);
    const result = await write(temporary);
    for (const name of keep) await rename(join(target, name), join(temporary, name));
    await swapIn(temporary, target);
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    await undoParents();
    throw asFileError("write", path, error);
  }
}

async function swapIn(temporary: string, target: string): Promise<void> {
  const old = siblingOf(target);
  const replaced = await rename(target, old).then(
    () => true,
    (error) => {
      if (hasCode(error, "ENOENT")) return false;
      throw error;
    },
  );
  try {
    await rename(temporary, target);
  } catch (error) {
    if (replaced) await rename(old, target);
    throw error;
  }
  if (replaced) await rm(old, { recursive: true, force: true });
}

/** Makes the parent folders; the result removes those that were made, as far as they are empty. */
async function makeParents(path: string): Promise<() => Promise<void>> {
  const parent = resolve(dirname(path));
  const first = await mkdir(parent, { recursive: true }).catch((error) => {
    throw asFileError("make", parent, error);
  });
  return async () => {
    if (first === undefined) return;
    try {
      for (let folder = parent; folder.length >= first.length; folder = dirname(folder)) await rmdir(folder);
    } catch {
      // Not empty: somebody else uses it now.
    }
  };
}

/** Errors of the operating system become ERR_FILE; programming errors and our own stay what they are. */
function asFileError(action: string, path: string, error: unknown): unknown {
  return (error as NodeJS.ErrnoException | undefined)?.syscall ? fileError(action, path, error) : error;
}
