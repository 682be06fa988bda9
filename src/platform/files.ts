import { getSystemErrorName } from "node:util";
import { requireAddon } from "./addon.js";

/** The exports of native/node/files.cc. */
interface FileFunctions {
  exchange(a: string, b: string): number;
  lockFile(descriptor: number): number;
  writeUncached(descriptor: number, on: boolean): number;
  wholePages(bytes: number): ArrayBuffer;
  checksum(bytes: Uint8Array, seed: bigint): bigint;
}

/**
 * Exchanges what two names lead to, in one atomic step. Returns false if the system or the file system cannot do it,
 * and throws the system's error if something else is wrong.
 */
export function exchange(a: string, b: string): boolean {
  const functions = load();
  if (!functions) return false;
  const code = nameOf(functions.exchange(a, b));
  if (code === undefined) return true;
  if (["EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes(code)) return false;
  throw Object.assign(new Error(`${code}: exchange '${a}' and '${b}'`), {
    code,
    syscall: "exchange",
    path: a,
    dest: b,
  });
}

/**
 * Locks an open file or folder exclusively for this descriptor, until it is closed or the process ends in any way.
 * Returns "held" if another process has the lock, and "unsupported" if there are no such locks.
 */
export function lockFile(descriptor: number): "locked" | "held" | "unsupported" {
  const functions = load();
  if (!functions) return "unsupported";
  const code = nameOf(functions.lockFile(descriptor));
  if (code === undefined) return "locked";
  return code === "EAGAIN" || code === "EWOULDBLOCK" ? "held" : "unsupported";
}

/**
 * Makes all later writes to an open file go from memory to the disk without a copy in the system's cache, which costs
 * less time of the processor. Addresses, positions and lengths then have to be multiples of 4096. Returns false if the
 * system or the file system cannot do it.
 */
export function writeUncached(descriptor: number, on: boolean): boolean {
  return load()?.writeUncached(descriptor, on) === 0;
}

/** Memory of at least 256 KiB that begins at a page, as `writeUncached` needs it; any memory without the addon. */
export function wholePages(bytes: number): ArrayBuffer {
  return load()?.wholePages(bytes) ?? new ArrayBuffer(bytes);
}

/** XXH64 of bytes: a checksum against damage by accident. Undefined without the addon. */
export function checksum(bytes: Uint8Array, seed: bigint): bigint | undefined {
  return load()?.checksum(bytes, seed);
}

/** Returns undefined if the addon is not built. Callers then do without it. */
function load(): FileFunctions | undefined {
  try {
    return requireAddon() as FileFunctions;
  } catch {
    return undefined;
  }
}

function nameOf(error: number): string | undefined {
  return error === 0 ? undefined : getSystemErrorName(-error);
}
