import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { chmod, chown, cp, lstat, mkdir, readdir, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, sep } from "node:path";
import { checkPath, checkPaths, type ErrorCode, ShortlistError } from "../errors.js";
import { exchange } from "../platform/files.js";
import { asFileError, destinationOf, exists, hasCode, isWritable, makeParents, syncFolder, syncTree } from "./files.js";
import { hiddenNameFor, isLockOf, isPartial, isPartialOf, isPartialOfAny } from "./hidden_names.js";
import { LOCK_INSIDE, Lock } from "./lock.js";
import { cannotRename, settleMembers, stagedMembers, swapMembers } from "./swap.js";
import { whileUnfinished } from "./unfinished.js";

/** A kind of folder that commands write. */
export interface FolderKind {
  /** The word for it in messages: "model", "dataset" and so on. */
  readonly name: string;
  /** Code of the error if the folder holds something else. */
  readonly code: ErrorCode;
  /** Whether a file or subfolder of this name belongs to such a folder. */
  readonly owns: (name: string) => boolean;
  /** Name of the member against which readers check the others. */
  readonly description?: string;
  /** Name of a subfolder whose members are written one by one. */
  readonly inner?: string;
  /** Whether the folder may have other contents, which then stay. */
  readonly allowsOthers?: boolean;
}

/** Stands for all members in the hidden name under which they are replaced inside their folder. */
const MEMBERS = "members";

/**
 * Calls `work` with the folder that `path` leads to, after checking that it can be replaced and written, and locking
 * it. Throws ERR_BUSY if another process is writing it. Removes what killed processes left.
 */
export async function withOutputFolder<T>(
  path: string,
  kind: FolderKind,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  checkPath("output", path);
  // A link to a folder stays a link, even if the folder does not exist yet.
  const target = await realpath(path).catch(async () => (await destinationOf(path)).target);
  const undoParents = await makeParents(target);
  let lock: Lock | undefined;
  try {
    await checkName(target);
    lock = await Lock.acquire(target, path);
    await restoreReplaced(target, lock);
    if (await exists(target)) await checkReplaceable(target, path, kind);
    if (lock.isReal) await removeLeftovers(target, kind);
    await checkWritable(target);
    return await work(target);
  } catch (error) {
    throw asFileError("write", path, error);
  } finally {
    await lock?.release();
    undoParents();
  }
}

/**
 * Calls `work` while these output files are locked. Removes what killed processes left. Refuses a file that belongs to a
 * folder of one of `kinds`, since replacing it would break that folder.
 */
export async function withOutputFiles<T>(
  paths: readonly string[],
  kinds: readonly FolderKind[],
  work: () => Promise<T>,
): Promise<T> {
  checkPaths("output", paths);
  for (const path of paths) await checkNoMember(path, kinds);
  const locks: Lock[] = [];
  const undo: (() => void)[] = [];
  try {
    for (const path of paths) {
      const { target, isFile } = await destinationOf(path);
      undo.push(await makeParents(target));
      await checkName(target);
      if (!isFile || !(await isWritable(dirname(target)))) continue;
      const lock = await Lock.acquire(target, path);
      locks.push(lock);
      if (lock.isReal) await removeBeside(target);
    }
    return await work();
  } catch (error) {
    throw asFileError("write", paths[0]!, error);
  } finally {
    for (const lock of locks) await lock.release();
    for (const undoParents of undo) undoParents();
  }
}

/**
 * Calls `work` with an empty folder for what is needed while an output file is written. It is a hidden folder beside the
 * output, or one in the system's temporary folder if none can be made there. It is removed afterwards.
 */
export async function withScratchFolder<T>(output: string, work: (folder: string) => Promise<T>): Promise<T> {
  const { target, isFile } = await destinationOf(output);
  const isBeside = isFile && (await isWritable(dirname(target)));
  const folder = hiddenNameFor(isBeside ? target : join(tmpdir(), basename(target)));
  const finish = whileUnfinished(() => rmSync(folder, { recursive: true, force: true }));
  try {
    mkdirSync(folder);
    return await work(folder);
  } finally {
    finish();
  }
}

async function checkNoMember(path: string, kinds: readonly FolderKind[]): Promise<void> {
  const { target } = await destinationOf(path);
  // A member is a file of the folder itself or of a folder in it.
  for (const member of [target, dirname(target)]) {
    const folder = dirname(member);
    for (const { name, code, owns, description } of kinds) {
      if (!owns(basename(member)) || description === undefined || !(await exists(join(folder, description)))) continue;
      const problem = `it is a part of the ${name} ${folder}`;
      throw new ShortlistError(code, `Refused to replace ${path}: ${problem}. Choose another output file`);
    }
  }
}

/** Checks that the name is not too long. Hidden names are cut, so writing them would not show it. */
async function checkName(target: string): Promise<void> {
  await lstat(target).catch((error) => {
    if (!hasCode(error, "ENOENT")) throw error;
  });
}

async function checkReplaceable(
  folder: string,
  path: string,
  { name, code, owns, allowsOthers, description }: FolderKind,
) {
  const refuse = (problem: string): never => {
    throw new ShortlistError(code, `Refused to replace ${path}: ${problem}. Choose another output folder`);
  };
  if (!(await stat(folder)).isDirectory()) return refuse("it is a file");
  if (allowsOthers) return;
  const names = await readdir(folder);
  const foreign = names.find(
    (member) => !owns(member) && !isPartialOfAny(member, isOwn(owns)) && member !== LOCK_INSIDE,
  );
  if (!foreign) return;
  const isOther = description !== undefined && !names.includes(description);
  refuse(
    isOther
      ? `it is a folder that is not a ${name}: it holds ${foreign}`
      : `it holds ${foreign}, which is no part of a ${name} and would be lost`,
  );
}

function isOwn(owns: FolderKind["owns"]): FolderKind["owns"] {
  return (name) => name === MEMBERS || owns(name);
}

/**
 * Tests what writing will do: create hidden names beside the folder if it can be renamed, and inside it if it exists.
 */
async function checkWritable(target: string): Promise<void> {
  const inside = (await exists(target)) ? [join(target, MEMBERS)] : [];
  const beside = (await canBeRenamed(target)) ? [target] : [];
  for (const place of [...beside, ...inside]) {
    const probe = hiddenNameFor(place);
    await mkdir(probe);
    await rmdir(probe);
  }
}

// ---- leftovers ------------------------------------------------------------------------------------------------------

/**
 * Without an exchange of names, the folder is missing for a moment while it is replaced. If the process was killed
 * then, the old folder is under a hidden name and is restored.
 */
async function restoreReplaced(target: string, lock: Lock): Promise<void> {
  if (!lock.isReal || (await exists(target))) return;
  const names = await readdir(dirname(target));
  const replaced = names.find((name) => isPartialOf(name, basename(target)) && name.includes(".replaced-"));
  if (replaced) await rename(join(dirname(target), replaced), target);
}

/**
 * Removes what killed processes left. Since no other process is writing this output, everything hidden beside and
 * inside it is a leftover.
 */
async function removeLeftovers(target: string, { owns, inner }: FolderKind): Promise<void> {
  await removeBeside(target);
  if (inner !== undefined) {
    const folder = join(target, inner);
    for (const name of await readdir(folder).catch(() => [])) if (isPartial(name)) await removeHidden(folder, name);
  }
  for (const name of await readdir(target).catch(() => [])) {
    if (isPartialOfAny(name, isOwn(owns))) await removeHidden(target, name);
    if (isLockOf(name, owns)) await rm(join(target, name), { force: true });
  }
}

async function removeBeside(target: string): Promise<void> {
  for (const name of await readdir(dirname(target)).catch(() => [])) {
    if (isPartialOf(name, basename(target))) await removeHidden(dirname(target), name);
  }
}

async function removeHidden(folder: string, name: string): Promise<void> {
  settleMembers(folder, join(folder, name));
  await rm(join(folder, name), { recursive: true, force: true });
}

// ---- replacing ------------------------------------------------------------------------------------------------------

/**
 * Writes a folder under a hidden name and puts it in the place of `target` in one atomic step. The caller must hold the
 * lock. Members for which `keep` is true stay. With such members, or if the folder cannot be renamed, the other members
 * are replaced inside the folder instead, also in one step. If `write` fails, nothing has changed. If the last step
 * fails, the finished folder stays under a name that the error tells.
 */
export async function replaceFolder<T>(
  target: string,
  kind: FolderKind,
  write: (staging: string) => Promise<T>,
  keep: (name: string) => boolean = () => false,
): Promise<T> {
  const isThere = await exists(target);
  const kept = isThere ? (await readdir(target)).filter((name) => keep(name) && !isPartial(name)) : [];
  const inside = kept.length > 0 || !(await canBeRenamed(target));
  const hidden = hiddenNameFor(inside ? join(target, MEMBERS) : target);
  const staging = inside ? stagedMembers(hidden) : hidden;
  const finish = whileUnfinished(() => rmSync(hidden, { recursive: true, force: true }));
  try {
    const undoParents = await makeParents(join(staging, MEMBERS));
    if (isThere && !inside) await takeAfter(hidden, target, OWNER_MAY_ALL);
    const result = await write(staging).catch(async (error) => {
      await rm(hidden, { recursive: true, force: true });
      undoParents();
      throw named(error, staging, target);
    });
    await syncTree(staging);
    try {
      // Checked again, because `work` may have taken hours.
      if (await exists(target)) await checkReplaceable(target, target, kind);
      if (inside) await replaceMembers(target, hidden, kind, keep);
      else await takePlace(hidden, target, kind, keep);
    } catch (error) {
      throw await rescue(staging, target, inside, error);
    }
    await syncFolder(inside ? target : dirname(target));
    return result;
  } finally {
    finish();
  }
}

/** The error with the names that people know in place of hidden ones. */
function named(error: unknown, staging: string, target: string): unknown {
  if (!(error instanceof ShortlistError) || !error.message.includes(staging)) return error;
  return new ShortlistError(error.code, error.message.replaceAll(staging, target), { cause: error });
}

/** Extra permissions while a folder is filled. */
const OWNER_MAY_ALL = 0o700;

/**
 * Gives a folder the owner, group and mode of another one. Files that are then created in it get the group if the
 * folder is set to pass it on.
 */
async function takeAfter(folder: string, like: string, besides = 0): Promise<void> {
  const { uid, gid, mode } = await stat(like);
  await chown(folder, uid, gid).catch(() => undefined);
  await chmod(folder, (mode & 0o7777) | besides);
}

async function replaceMembers(
  target: string,
  hidden: string,
  { description }: FolderKind,
  keep: (name: string) => boolean,
): Promise<void> {
  const staged = await readdir(stagedMembers(hidden));
  const removed = (await readdir(target)).filter(
    (name) => !staged.includes(name) && !keep(name) && !isPartial(name) && name !== LOCK_INSIDE,
  );
  swapMembers(target, hidden, removed, description);
}

async function takePlace(
  hidden: string,
  target: string,
  kind: FolderKind,
  keep: (name: string) => boolean,
): Promise<void> {
  if (!(await exists(target))) return renameSync(hidden, target);
  await takeAfter(hidden, target);
  try {
    if (exchange(hidden, target)) return;
    const replaced = hiddenNameFor(target, "replaced");
    renameSync(target, replaced);
    try {
      renameSync(hidden, target);
    } catch (error) {
      renameSync(replaced, target);
      throw error;
    }
    await syncFolder(dirname(target));
    await rm(replaced, { recursive: true, force: true });
  } catch (error) {
    if (!cannotRename(error)) throw error;
    // It cannot be renamed, for a reason that only trying reveals.
    const inside = hiddenNameFor(join(target, MEMBERS));
    const finish = whileUnfinished(() => rmSync(inside, { recursive: true, force: true }));
    try {
      await mkdir(inside);
      await cp(hidden, stagedMembers(inside), { recursive: true });
      await syncTree(stagedMembers(inside));
      await replaceMembers(target, inside, kind, keep);
    } finally {
      finish();
    }
  }
}

/** Keeps a finished folder whose last step failed, under a name that the error tells. */
async function rescue(staging: string, target: string, inside: boolean, cause: unknown): Promise<unknown> {
  const name = `finished-${randomBytes(4).toString("hex")}`;
  const rescued = inside ? join(target, name) : `${target}.${name}`;
  const reason = (asFileError("write", target, cause) as Error).message;
  await rename(staging, rescued);
  return new ShortlistError("ERR_FILE", `${reason}. What was to be written there is finished and stays in ${rescued}`, {
    cause,
  });
}

/**
 * Whether a folder can be renamed, as far as this can be known without trying; true if it does not exist. False if it
 * is the current directory.
 */
async function canBeRenamed(target: string): Promise<boolean> {
  const found = await lstat(target).catch(() => undefined);
  if (!found) return true;
  const parent = await stat(dirname(target));
  const isMounted = found.dev !== parent.dev;
  const user = process.getuid?.() ?? 0;
  const isSticky = (parent.mode & 0o1000) !== 0 && ![0, found.uid, parent.uid].includes(user);
  const isCurrent = `${process.cwd()}${sep}`.startsWith(target === sep ? sep : `${target}${sep}`);
  return !isMounted && !isSticky && !isCurrent && (await isWritable(dirname(target)));
}
