import { getSystemErrorName } from "node:util";
import { requireAddon } from "./addon.js";

/** What native/node/files.cc exports. */
interface FileFunctions {
  exchange(a: string, b: string): number;
  lockFile(descriptor: number): number;
}

/**
 * Lets two names lead to what the other leads to, in one step; false where the system or the file system cannot. Throws
 * the system's error where it can and something else is wrong.
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
 * Locks an open file or folder for this descriptor alone until it is closed, at the latest when the process ends,
 * however it does: "held" where somebody else has the lock, "unsupported" where there are no such locks.
 */
export function lockFile(descriptor: number): "locked" | "held" | "unsupported" {
  const functions = load();
  if (!functions) return "unsupported";
  const code = nameOf(functions.lockFile(descriptor));
  if (code === undefined) return "locked";
  return code === "EAGAIN" || code === "EWOULDBLOCK" ? "held" : "unsupported";
}

/** Undefined where the addon is not built: the callers have ways of their own then. */
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
