import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { basename, join, sep } from "node:path";
import { exchange } from "../platform/files.js";
import { isPartial } from "./hidden_names.js";

/**
 * Replaces several members of a folder in one atomic step, without replacing the folder itself:
 *
 * 1. The new members are written to `new` inside a hidden subfolder, whose `current` is a link to `old`.
 * 2. Each member moves to `old`, and a link through `current` takes its place. All names still lead to the old members.
 * 3. `current` is replaced by a link to `new` with one rename. Now all names lead to the new members.
 * 4. The new members take the places of the links.
 *
 * So all names lead to the old members or all to the new ones, at every moment and also after a kill. Before the third
 * step everything is synced to the disk, and after it the rename is, so that this also holds after power was lost, when
 * changes of different folders may have reached the disk in any order. `settleMembers` completes an interrupted swap.
 */
const OLD = "old";
const NEW = "new";
const CURRENT = "current";
const NEXT = "next";

/** The folder inside the hidden folder to which new members are written. */
export function stagedMembers(hidden: string): string {
  return join(hidden, NEW);
}

/**
 * Moves the members in `stagedMembers(hidden)` to the folder around `hidden`, and removes the members in `removed`.
 * Readers check all members against the one called `last`, which is therefore replaced last. All of it is synchronous,
 * so that nothing else in this process, such as ending on a signal, can interrupt it. The caller removes `hidden`.
 */
export function swapMembers(folder: string, hidden: string, removed: readonly string[], last?: string): void {
  const names = readdirSync(stagedMembers(hidden)).sort((a, b) => Number(a === last) - Number(b === last));
  mkdirSync(join(hidden, OLD));
  if (!canSwap(hidden)) {
    replaceOneByOne(stagedMembers(hidden), folder, names);
    for (const name of removed) rmSync(join(folder, name), { recursive: true, force: true });
    return;
  }
  try {
    const all = [...names, ...removed];
    for (const name of all) symlinkSync(join(basename(hidden), CURRENT, name), join(hidden, OLD, name));
    for (const path of [join(hidden, OLD), hidden, folder]) syncNow(path);
    for (const name of all) {
      const [member, link] = [join(folder, name), join(hidden, OLD, name)];
      if (isThere(member)) exchange(link, member);
      else renameSync(link, member);
    }
    symlinkSync(NEW, join(hidden, NEXT));
    for (const path of [join(hidden, OLD), folder]) syncNow(path);
    renameSync(join(hidden, NEXT), join(hidden, CURRENT));
    syncNow(hidden);
  } finally {
    settleMembers(folder, hidden);
  }
}

/** Whether a link with this text stands for the member `name` during a swap. */
export function isSwapLink(text: string, name: string): boolean {
  const [hidden, ...rest] = text.split(sep);
  return isPartial(hidden!) && rest.join(sep) === join(CURRENT, name);
}

/**
 * Replaces the links by the members that `current` leads to, at the end of a swap or after one that was interrupted, and
 * syncs the folder, so that `hidden` can be removed.
 */
export function settleMembers(folder: string, hidden: string): void {
  const current = join(hidden, CURRENT);
  if (!isThere(current)) return;
  // One of the two may be gone, if the process was killed while it removed `hidden`.
  const versions = [OLD, NEW].map((version) => join(hidden, version)).filter(isThere);
  for (const name of new Set(versions.flatMap((version) => readdirSync(version)))) {
    const member = join(folder, name);
    if (!lstatSync(member, { throwIfNoEntry: false })?.isSymbolicLink()) continue;
    if (readlinkSync(member) !== join(basename(hidden), CURRENT, name)) continue;
    const held = join(hidden, readlinkSync(current), name);
    if (isThere(held)) exchange(held, member);
    else unlinkSync(member);
  }
  syncNow(folder);
}

/** Syncs a file, or the names in a folder, to the disk. Some file systems cannot sync folders; that is ignored. */
function syncNow(path: string): void {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "r");
    fsyncSync(descriptor);
  } catch {
    // It cannot be synced.
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Creates `current`, and tests on two folders that nobody reads yet whether this file system can exchange names. */
function canSwap(hidden: string): boolean {
  const [old, fresh] = [join(hidden, OLD), join(hidden, NEW)];
  try {
    symlinkSync(OLD, join(hidden, CURRENT));
  } catch {
    return false;
  }
  return exchange(old, fresh) && exchange(old, fresh);
}

/**
 * Replaces members one file at a time, without moving folders, if the system cannot exchange names. The last name is
 * replaced last.
 */
function replaceOneByOne(from: string, folder: string, names: readonly string[]): void {
  for (const name of names) {
    const [source, target] = [join(from, name), join(folder, name)];
    if (!statSync(source).isDirectory()) {
      moveFile(source, target);
      continue;
    }
    mkdirSync(target, { recursive: true });
    const members = readdirSync(source);
    replaceOneByOne(source, target, members);
    for (const member of readdirSync(target)) {
      if (!members.includes(member)) rmSync(join(target, member), { recursive: true });
    }
  }
}

/**
 * Renames a file over another one. If that one cannot be replaced, as it is a mount point for instance, its contents
 * are overwritten.
 */
export function moveFile(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!cannotRename(error) || !existsSync(to)) throw error;
    copyFileSync(from, to);
    syncNow(to);
    unlinkSync(from);
  }
}

/**
 * Whether the error says that a name cannot be renamed, because it is a mount point or its folder belongs to somebody
 * else.
 */
export function cannotRename(error: unknown): boolean {
  return ["EBUSY", "EXDEV", "EPERM", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "");
}

/** Whether there is anything with this name, even a dangling link. */
function isThere(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
