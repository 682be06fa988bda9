import { availableParallelism } from "node:os";
import { ShortlistError } from "../errors.js";

const MAX_THREADS = 1024;

/**
 * Returns the number of threads of native code: the option, SHORTLIST_THREADS, or else the number of processors. Throws
 * ERR_OPTION if it is impossible.
 */
export function threadCount(option: number | undefined): number {
  const variable = process.env["SHORTLIST_THREADS"];
  const threads =
    option ?? (variable ? Number(variable.match(/^\d+$/)?.[0]) : Math.min(availableParallelism(), MAX_THREADS));
  if (Number.isSafeInteger(threads) && threads >= 1 && threads <= MAX_THREADS) return threads;
  const source = option === undefined ? `SHORTLIST_THREADS="${variable}"` : String(option);
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected threads to be a whole number of 1 to ${MAX_THREADS} but received ${source}`,
  );
}
