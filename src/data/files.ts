import { constants as bufferLimits, isUtf8 } from "node:buffer";
import { constants, openSync, rmdirSync, rmSync, unlinkSync } from "node:fs";
import { access, type FileHandle, mkdir, open, readdir, readFile, readlink, stat } from "node:fs/promises";
import { Socket } from "node:net";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type ErrorCode, ShortlistError } from "../errors.js";
import { hiddenNameFor } from "./hidden_names.js";
import { isSwapLink, moveFile, stagedMembers, swapMembers } from "./swap.js";
import { whileUnfinished } from "./unfinished.js";

/** Returns ERR_FILE with the reason of the operating system. */
export function fileError(action: string, path: string, cause: unknown): ShortlistError {
  if (cause instanceof ShortlistError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOENT: "it does not exist",
    EISDIR: "it is a folder",
    EEXIST: "a file that is not a folder is in the way",
    ENOTDIR: "a part of the path is not a folder",
    EACCES: "permission denied",
    EPERM: "permission denied",
    EROFS: "the disk can only be read",
    ENOSPC: "the disk is full",
    EDQUOT: "the quota of the disk is used up",
    ENAMETOOLONG: "the name is too long",
    ELOOP: "its links lead in a circle",
    EBUSY: "it is in use by the system",
  };
  const reason = code === "ENOENT" && action === "write" ? "no file can be made there" : reasons[code ?? ""];
  return new ShortlistError("ERR_FILE", `Cannot ${action} ${path}: ${reason ?? message}`, { cause });
}

/** Whether this is an error of the operating system with this code, such as ENOENT. */
export function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === code;
}

/** Whether a file or folder has this path. */
export function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Reads a text file that may have been written by hand, without its byte order mark. Throws ERR_FILE unless it is
 * UTF-8.
 */
export async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = (await stat(path)).isFIFO() ? await readPipe(path) : await readFile(path);
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

const PIECE_BYTES = 64 * 1024 * 1024;
/** A piece whose reader blocks the event loop for about a millisecond, such as one that computes a hash. */
const SMALL_PIECE_BYTES = 1024 * 1024;

/**
 * Reads a file, which may be larger than the 2 GiB of Node's `readFile`. Calls `onPiece` with each piece of it, in order.
 */
export async function readBytes(path: string, onPiece?: (piece: Uint8Array) => void): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const status = await file.stat();
    const { size } = status;
    if (size > bufferLimits.MAX_LENGTH) {
      throw new ShortlistError(
        "ERR_FILE",
        `Cannot read ${path}: it has ${size} bytes, ${bufferLimits.MAX_LENGTH} at most`,
      );
    }
    if (!status.isFile()) {
      const bytes = await file.readFile();
      onPiece?.(bytes);
      return bytes;
    }
    const bytes = Buffer.allocUnsafeSlow(size);
    return bytes.subarray(0, await readFully(file, bytes, 0, undefined, onPiece));
  } finally {
    await file.close();
  }
}

/**
 * Fills `bytes` from `position` of a file on. Returns the number of bytes read, which is smaller only at the end of the
 * file. The signal is checked between pieces, and `onPiece` is called with each of them, in order.
 */
export async function readFully(
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
  signal?: AbortSignal,
  onPiece?: (piece: Uint8Array) => void,
): Promise<number> {
  const most = onPiece ? SMALL_PIECE_BYTES : PIECE_BYTES;
  let done = 0;
  while (done < bytes.length) {
    signal?.throwIfAborted();
    const length = Math.min(most, bytes.length - done);
    const { bytesRead } = await file.read(bytes, done, length, position + done);
    if (bytesRead === 0) break;
    onPiece?.(bytes.subarray(done, done + bytesRead));
    done += bytesRead;
  }
  return done;
}

/** Parses JSON. Throws an error of `code` that starts with `path`. */
export function parseJson(text: string, path: string, code: ErrorCode): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ShortlistError(code, `${path}: Expected JSON but ${(cause as Error).message}`, { cause });
  }
}

/** Formats a value as the text of a JSON file for people to read. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/**
 * The bytes of a named pipe. A plain open would wait for the pipe's writer in a thread, which no signal ends; this one
 * waits as for any other event, until `signal` ends it.
 */
export async function* pipeChunks(path: string, signal?: AbortSignal | undefined): AsyncGenerator<Buffer> {
  const pipe = new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true });
  const stop = () => pipe.destroy();
  signal?.addEventListener("abort", stop);
  try {
    yield* pipe;
  } finally {
    signal?.removeEventListener("abort", stop);
    pipe.destroy();
    signal?.throwIfAborted();
  }
}

async function readPipe(path: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of pipeChunks(path)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const PIPE_WAIT_MS = 20;

/** A file to write, and the function that writes its contents. */
export interface OutputFile {
  readonly path: string;
  readonly write: (file: FileHandle) => Promise<void>;
}

/**
 * Writes a file under a hidden name beside `path` and renames it at the end, so that `path` is never incomplete and is
 * unchanged after an error. If `path` is a link, the file that it leads to is replaced. The mode of an existing file is
 * kept, devices and pipes are written to directly, and missing parent folders are created.
 */
export async function replaceFile(path: string, write: OutputFile["write"]): Promise<void> {
  const undoParents = await makeParents(path);
  try {
    const { target, isFile } = await destinationOf(path);
    if (!isFile) return await writeDirectly(target, write);
    const temporary = hiddenNameFor(target);
    const finish = whileUnfinished(() => unlinkSync(temporary));
    try {
      if (!(await writeNew(temporary, target, write))) return await writeInPlace(target, write);
      moveFile(temporary, target);
    } finally {
      finish();
    }
    await syncFolder(dirname(target));
  } catch (error) {
    throw asFileError("write", path, error);
  } finally {
    undoParents();
  }
}

/**
 * `replaceFile` for several files of one folder that belong together. At every moment all names lead to the old files
 * or all to the new ones.
 */
export async function replaceFiles(files: readonly OutputFile[]): Promise<void> {
  const destinations = await Promise.all(files.map(({ path }) => destinationOf(path)));
  const folder = dirname(destinations[0]!.target);
  const areMembers = destinations.every(({ target, isFile }) => isFile && dirname(target) === folder);
  if (files.length === 1 || !areMembers) {
    for (const { path, write } of files) await replaceFile(path, write);
    return;
  }
  const undoParents = await makeParents(files[0]!.path);
  const hidden = hiddenNameFor(destinations[0]!.target);
  const finish = whileUnfinished(() => rmSync(hidden, { recursive: true, force: true }));
  try {
    await mkdir(stagedMembers(hidden), { recursive: true });
    for (const [i, { write }] of files.entries()) {
      const { target } = destinations[i]!;
      await writeNew(join(stagedMembers(hidden), basename(target)), target, write);
    }
    await syncFolder(stagedMembers(hidden));
    swapMembers(folder, hidden, []);
    await syncFolder(folder);
  } catch (error) {
    throw asFileError("write", files[0]!.path, error);
  } finally {
    finish();
    undoParents();
  }
}

/** Follows the links of an output path. `isFile` is false for devices and pipes, which are written to directly. */
export async function destinationOf(path: string): Promise<{ readonly target: string; readonly isFile: boolean }> {
  let target = resolve(path);
  for (let links = 0; links < 40; links++) {
    // A descriptor of a process, such as /dev/stdout, is written to, wherever it leads.
    if (/^\/(?:proc\/[^/]+|dev)\/fd\/\d+$/.test(target)) return { target, isFile: false };
    const link = await readlink(target).catch(() => undefined);
    if (link === undefined || isSwapLink(link, basename(target))) break;
    target = resolve(dirname(target), link);
  }
  const found = await stat(target).catch(() => undefined);
  return { target, isFile: found === undefined || found.isFile() || found.isDirectory() };
}

/**
 * Writes a new file with the mode of `like`. Returns false if its folder takes no new files but `like` can be written.
 */
async function writeNew(path: string, like: string, write: OutputFile["write"]): Promise<boolean> {
  const before = await stat(like).catch(() => undefined);
  if (before?.isDirectory()) throw Object.assign(new Error(), { code: "EISDIR", syscall: "open" });
  let file: FileHandle;
  try {
    file = await open(path, "wx");
  } catch (error) {
    const isClosed = ["EACCES", "EPERM", "EROFS"].some((code) => hasCode(error, code));
    if (before && isClosed && (await isWritable(like))) return false;
    throw error;
  }
  await writeAndClose(file, async () => {
    if (before) {
      await file.chown(before.uid, before.gid).catch(() => undefined);
      await file.chmod(before.mode & 0o7777);
    }
    await write(file);
    await file.sync();
  });
  return true;
}

async function writeInPlace(path: string, write: OutputFile["write"]): Promise<void> {
  await writeAndClose(await open(path, "w"), async (file) => {
    await write(file);
    await file.sync();
  });
}

async function writeDirectly(path: string, write: OutputFile["write"]): Promise<void> {
  await writeAndClose((await stat(path)).isFIFO() ? await openPipe(path) : await open(path, "a"), write);
}

async function writeAndClose(file: FileHandle, write: OutputFile["write"]): Promise<void> {
  try {
    await write(file);
  } finally {
    await file.close();
  }
}

/** Opens a named pipe once it has a reader. A plain `open` would wait in a thread, which no signal can end. */
async function openPipe(path: string): Promise<FileHandle> {
  for (;;) {
    const probe = await open(path, constants.O_WRONLY | constants.O_NONBLOCK).catch((error) => {
      if (!hasCode(error, "ENXIO")) throw error;
    });
    if (probe) return open(path, "a").finally(() => probe.close());
    await pause(PIPE_WAIT_MS);
  }
}

/** Whether this process may write a file or folder. */
export function isWritable(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/** Makes the renames in a folder durable. Some file systems cannot sync folders; that is ignored. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}

/** Syncs everything in a folder to the disk, whoever wrote it. */
export async function syncTree(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const member = join(path, entry.name);
    if (entry.isDirectory()) await syncTree(member);
    else if (entry.isFile()) await syncFile(member);
  }
  await syncFolder(path);
}

/** Syncs the bytes of a file to the disk. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  await file.sync().finally(() => file.close());
}

/** Creates the parent folders. The returned function removes those that were created and are empty. */
export async function makeParents(path: string): Promise<() => void> {
  const parent = resolve(dirname(path));
  const first = await mkdir(parent, { recursive: true }).catch((error) => {
    throw asFileError("make", parent, error);
  });
  if (first === undefined) return () => undefined;
  for (let folder = parent; folder.length >= first.length; folder = dirname(folder)) await syncFolder(dirname(folder));
  return whileUnfinished(() => {
    for (let folder = parent; folder.length >= first.length; folder = dirname(folder)) rmdirSync(folder);
  });
}

/** Turns errors of the operating system into ERR_FILE, and returns all other errors unchanged. */
export function asFileError(action: string, path: string, error: unknown): unknown {
  return (error as NodeJS.ErrnoException | undefined)?.syscall ? fileError(action, path, error) : error;
}
