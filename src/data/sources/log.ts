import { checkPath, ShortlistError } from "../../errors.js";
import { clickLog } from "./click_log.js";
import type { LogSource } from "./source.js";

/** A log: a source of rows, or the path of a click log. */
export type Log = LogSource | string;

/** Returns the source of a log. */
export function sourceOf(log: Log): LogSource {
  return typeof log === "string" ? clickLog(log) : log;
}

/** Throws ERR_OPTION unless `value` is a path or has the members of a log source. */
export function checkLog(name: string, value: unknown): void {
  if (typeof value === "string") {
    checkPath(name, value);
    return;
  }
  const { read, size, where, name: own, label } = (value ?? {}) as Partial<Record<keyof LogSource, unknown>>;
  const isSource = [read, size, where].every((method) => typeof method === "function");
  if (isSource && typeof own === "string" && typeof label === "string") return;
  throw new ShortlistError("ERR_OPTION", `Expected ${name} to be a path or a log source but received ${String(value)}`);
}

/** Throws ERR_OPTION unless `values` is a list of logs. */
export function checkLogs(name: string, values: unknown): void {
  if (!Array.isArray(values)) {
    throw new ShortlistError("ERR_OPTION", `Expected ${name} to be a list of logs but received ${String(values)}`);
  }
  for (const value of values) checkLog(`each of ${name}`, value);
}
