import { randomBytes } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { chmod, chown, cp, lstat, mkdir, readdir, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { checkPath, checkPaths, type ErrorCode, ShortlistError } from "../errors.js";
import { exchange } from "../platform/files.js";
import { asFileError, destinationOf, exists, hasCode, isWritable, makeParents, syncFolder } from "./files.js";
import { hiddenNameFor, isLockOf, isPartial, isPartialOf, isPartialOfAny } from "./hidden_names.js";
import { LOCK_INSIDE, Lock } from "./lock.js";
import { cannotRename, settleMembers, stagedMembers, swapMembers } from "./swap.js";
import { whileUnfinished } from "./unfinished.js";

/** What may be in a folder that a command writes. */
export interface FolderKind {
  /** "model", "dataset" … */
  readonly name: string;
  /** Of the error where the folder holds something else. */
  readonly code: ErrorCode;
  /** Whether a name is of a part of it. */
  readonly owns: (name: string) => boolean;
  /** The member that the others are checked by. */
  readonly description?: string;
  /** Whether other things may be in the folder; they stay. */
  readonly isShared?: boolean;
}

/** Stands for the members when they are replaced inside their folder. */
const MEMBERS = "members";

/**
 * Calls `work` with the folder that `path` leads to, after all that writing it needs was checked: that it may be
 * replaced, that it can be written, and that nobody else is writing it (ERR_BUSY). What killed runs left of it is
 * removed.
 */
export async function withOutputFolder<T>(
  path: string,
  kind: FolderKind,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  checkPath("output", path);
  // A link to a folder stays a link, also where it leads to nothing yet.
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

/** `work` under the lock of these output files, after what killed runs left of them was removed. */
export async function withOutputFiles<T>(paths: readonly string[], work: () => Promise<T>): Promise<T> {
  checkPaths("output", paths);
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

/** Hidden names are cut, so that they do not show whether the name itself is too long. */
async function checkName(target: string): Promise<void> {
  await lstat(target).catch((error) => {
    if (!hasCode(error, "ENOENT")) throw error;
  });
}

async function checkReplaceable(folder: string, path: string, { name, code, owns, isShared, description }: FolderKind) {
  const refuse = (problem: string): never => {
    throw new ShortlistError(code, `Refused to replace ${path}: ${problem}. Choose another output folder`);
  };
  if (!(await stat(folder)).isDirectory()) return refuse("it is a file");
  if (isShared) return;
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

/** Tries what writing will do: hidden names beside a folder that can be renamed, and inside one that is there. */
async function checkWritable(target: string): Promise<void> {
  const inside = (await exists(target)) ? [join(target, MEMBERS)] : [];
  const beside = (await canBeRenamed(target)) ? [target] : [];
  for (const place of [...beside, ...inside]) {
    const probe = hiddenNameFor(place);
    await mkdir(probe);
    await rmdir(probe);
  }
}

// ---- leftovers --------------------------------------------------------------------------------------------------------

/**
 * Without an exchange a folder is away for a moment; whoever is killed in it leaves the old one under a hidden name.
 */
async function restoreReplaced(target: string, lock: Lock): Promise<void> {
  if (!lock.isReal || (await exists(target))) return;
  const names = await readdir(dirname(target));
  const replaced = names.find((name) => isPartialOf(name, basename(target)) && name.includes(".replaced-"));
  if (replaced) await rename(join(dirname(target), replaced), target);
}

/**
 * Removes what killed runs left. Nobody else is writing this output, so all that is hidden beside and inside it is
 * theirs.
 */
async function removeLeftovers(target: string, { owns }: FolderKind): Promise<void> {
  await removeBeside(target);
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

// ---- replacing --------------------------------------------------------------------------------------------------------

/**
 * Writes a folder under a hidden name and lets it take the place of `target` in one step; the caller keeps others away.
 * The members that `keep` holds stay. Where a folder stays where it is, because of such members or because it cannot be
 * renamed, its members are replaced instead, in one step too. After an error in `write` nothing has changed; where the
 * last step fails, the finished folder stays under a name that the error says.
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
      throw error;
    });
    await syncFolder(staging);
    try {
      // Again, as the work may have taken hours.
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

/** While a folder is filled. */
const OWNER_MAY_ALL = 0o700;

/**
 * Gives a folder the owner, group and mode of another one; what is then made in it gets the group, where that passes it
 * on.
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
    await rm(replaced, { recursive: true, force: true });
  } catch (error) {
    if (!cannotRename(error)) throw error;
    // It cannot be renamed after all, for a reason that only trying shows.
    const inside = hiddenNameFor(join(target, MEMBERS));
    const finish = whileUnfinished(() => rmSync(inside, { recursive: true, force: true }));
    try {
      await mkdir(inside);
      await cp(hidden, stagedMembers(inside), { recursive: true });
      await replaceMembers(target, inside, kind, keep);
    } finally {
      finish();
    }
  }
}

/** Keeps a finished folder whose last step failed, under a name that the error says. */
async function rescue(staging: string, target: string, inside: boolean, cause: unknown): Promise<unknown> {
  const name = `finished-${randomBytes(4).toString("hex")}`;
  const rescued = inside ? join(target, name) : `${target}.${name}`;
  const reason = (asFileError("write", target, cause) as Error).message;
  await rename(staging, rescued);
  return new ShortlistError("ERR_FILE", `${reason}. What was to be written there is finished and stays in ${rescued}`, {
    cause,
  });
}

/** Whether a folder, if there is one, can be renamed, as far as can be told without trying, and nobody stands in it. */
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
