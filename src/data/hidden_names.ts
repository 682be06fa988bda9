import { createHash, randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";

/**
 * Bytes of a name that hidden names take over; longer ones are cut, so that a hidden name is as allowed as the name.
 */
const MAX_STEM_BYTES = 180;
/** "partial" is to become the target, "replaced" was the target. */
const HIDDEN = /^\.(.+)\.(?:partial|replaced)-\d+-[0-9a-f]{8}$/;

function stemOf(name: string): string {
  if (Buffer.byteLength(name) <= MAX_STEM_BYTES) return name;
  const start = Buffer.from(name)
    .subarray(0, MAX_STEM_BYTES)
    .toString("utf8")
    .replace(/\ufffd$/, "");
  return `${start}~${createHash("sha256").update(name).digest("hex").slice(0, 8)}`;
}

/** A hidden name beside `path`, on the same disk: what is renamed from it appears whole or not at all. */
export function hiddenNameFor(path: string, kind: "partial" | "replaced" = "partial"): string {
  const name = `.${stemOf(basename(path))}.${kind}-${process.pid}-${randomBytes(4).toString("hex")}`;
  return join(dirname(path), name);
}

/** Whether a name is of what a process means, or meant when it was stopped, to rename. */
export function isPartial(name: string): boolean {
  return HIDDEN.test(name);
}

/** Whether it is to become, or was, the member `target` of its folder. */
export function isPartialOf(name: string, target: string): boolean {
  return HIDDEN.exec(name)?.[1] === stemOf(target);
}

/** Whether that member's name passes a test. */
export function isPartialOfAny(name: string, isTarget: (target: string) => boolean): boolean {
  const target = HIDDEN.exec(name)?.[1];
  return target !== undefined && isTarget(target);
}

/** The hidden file that says who writes the output of this name. */
export function lockNameOf(name: string): string {
  return `.${stemOf(name)}.lock`;
}

/** Whether a name is that of the lock of an output whose name passes a test. */
export function isLockOf(name: string, isTarget: (target: string) => boolean): boolean {
  const target = /^\.(.+)\.lock$/.exec(name)?.[1];
  return target !== undefined && isTarget(target);
}
