import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
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
 * Several members of a folder are replaced in one step, while the folder stays what it is. They are written to `new`
 * inside a hidden folder of it. Then each of their names becomes a link through `current`, a link to `old`, so nothing
 * has changed yet; `current` is renamed to lead to `new`, which is the one step; and the members take the places of the
 * links. At every moment all names lead to the old members, or all to the new ones, also after a kill: `settleMembers`
 * does the rest.
 */
const OLD = "old";
const NEW = "new";
const CURRENT = "current";
const NEXT = "next";

/** Where the new members are written. */
export function stagedMembers(hidden: string): string {
  return join(hidden, NEW);
}

/**
 * Puts what is in `stagedMembers(hidden)` into the folder around `hidden`; `removed` names members that go. `last` is
 * the member that readers check the others by. Everything is synchronous, so that nothing else that this process does,
 * such as ending on a signal, comes between. `hidden` is left for the caller to remove.
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
    for (const name of [...names, ...removed]) {
      const [member, link] = [join(folder, name), join(hidden, OLD, name)];
      symlinkSync(join(basename(hidden), CURRENT, name), link);
      if (isThere(member)) exchange(link, member);
      else renameSync(link, member);
    }
    symlinkSync(NEW, join(hidden, NEXT));
    renameSync(join(hidden, NEXT), join(hidden, CURRENT));
  } finally {
    settleMembers(folder, hidden);
  }
}

/** Whether the text of a link is of one that stands for the member `name` during a swap. */
export function isSwapLink(text: string, name: string): boolean {
  const [hidden, ...rest] = text.split(sep);
  return isPartial(hidden!) && rest.join(sep) === join(CURRENT, name);
}

/**
 * Puts the members that `current` leads to in the places of the links: after the swap, or after one that was stopped.
 */
export function settleMembers(folder: string, hidden: string): void {
  const current = join(hidden, CURRENT);
  if (!isThere(current)) return;
  // One of them may be gone already: killed while `hidden` was removed.
  const versions = [OLD, NEW].map((version) => join(hidden, version)).filter(isThere);
  for (const name of new Set(versions.flatMap((version) => readdirSync(version)))) {
    const member = join(folder, name);
    if (!lstatSync(member, { throwIfNoEntry: false })?.isSymbolicLink()) continue;
    if (readlinkSync(member) !== join(basename(hidden), CURRENT, name)) continue;
    const held = join(hidden, readlinkSync(current), name);
    if (isThere(held)) exchange(held, member);
    else unlinkSync(member);
  }
}

/** Makes `current` and tries whether names can be exchanged here, on two folders that nobody reads yet. */
function canSwap(hidden: string): boolean {
  const [old, fresh] = [join(hidden, OLD), join(hidden, NEW)];
  try {
    symlinkSync(OLD, join(hidden, CURRENT));
  } catch {
    return false;
  }
  return exchange(old, fresh) && exchange(old, fresh);
}

/** Without an exchange: file by file, folders stay where they are, the last name last. */
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
 * Renames a file over another one; where that one cannot be renamed, such as a mounted file, its contents are replaced.
 */
export function moveFile(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!cannotRename(error) || !existsSync(to)) throw error;
    copyFileSync(from, to);
    unlinkSync(from);
  }
}

/**
 * Whether the system says that a name cannot be renamed: it is a mount point, or its folder belongs to somebody else.
 */
export function cannotRename(error: unknown): boolean {
  return ["EBUSY", "EXDEV", "EPERM", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "");
}

/** Whether there is something of this name, be it a link that leads nowhere. */
function isThere(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
