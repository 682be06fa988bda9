import { createHash, randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";

/**
 * Longest part of a name in bytes that a hidden name contains. Longer names are cut, so that a hidden name is never too
 * long if the name itself is not.
 */
const MAX_STEM_BYTES = 180;
/** A "partial" file or folder will become the target; a "replaced" one was the target before. */
const HIDDEN = /^\.(.+)\.(?:partial|replaced)-\d+-[0-9a-f]{8}$/;

function stemOf(name: string): string {
  if (Buffer.byteLength(name) <= MAX_STEM_BYTES) return name;
  const start = Buffer.from(name)
    .subarray(0, MAX_STEM_BYTES)
    .toString("utf8")
    .replace(/\ufffd$/, "");
  return `${start}~${createHash("sha256").update(name).digest("hex").slice(0, 8)}`;
}

/** Returns a hidden name beside `path`, in the same file system, so that renaming it to `path` is atomic. */
export function hiddenNameFor(path: string, kind: "partial" | "replaced" = "partial"): string {
  const name = `.${stemOf(basename(path))}.${kind}-${process.pid}-${randomBytes(4).toString("hex")}`;
  return join(dirname(path), name);
}

/** The hidden folder beside an output with what an interrupted run has finished, from which another run continues. */
export function unfinishedNameFor(path: string): string {
  return join(dirname(path), `.${stemOf(basename(path))}.unfinished`);
}

/** Whether this is a hidden name of the form that `hiddenNameFor` returns. */
export function isPartial(name: string): boolean {
  return HIDDEN.test(name);
}

/** Whether this is a hidden name for the member `target` of its folder. */
export function isPartialOf(name: string, target: string): boolean {
  return HIDDEN.exec(name)?.[1] === stemOf(target);
}

/** Whether this is a hidden name for a member whose name passes a test. */
export function isPartialOfAny(name: string, isTarget: (target: string) => boolean): boolean {
  const target = HIDDEN.exec(name)?.[1];
  return target !== undefined && isTarget(target);
}

/** The hidden file that records which process is writing the output of this name. */
export function lockNameOf(name: string): string {
  return `.${stemOf(name)}.lock`;
}

/** Whether this is the lock of an output whose name passes a test. */
export function isLockOf(name: string, isTarget: (target: string) => boolean): boolean {
  const target = /^\.(.+)\.lock$/.exec(name)?.[1];
  return target !== undefined && isTarget(target);
}
