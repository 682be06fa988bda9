import { getSystemErrorName } from "node:util";
import { requireAddon } from "./addon.js";

/** The exports of native/node/files.cc. */
interface FileFunctions {
  exchange(a: string, b: string): number;
  lockFile(descriptor: number): number;
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
