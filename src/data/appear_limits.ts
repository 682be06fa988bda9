import { checkOptions, ShortlistError } from "../errors.js";
import type { ValueCounts } from "./token_table.js";

/**
 * Which values get an id of their own: those that appear more often than a limit. A number is the limit of all
 * features. "auto" chooses a limit for each feature from its counts (docs/math.md#vocabulary-and-noise). An object has
 * the limits of some features by name; those of the others are "auto".
 */
export type AppearLimit = number | "auto" | Readonly<Record<string, number | "auto">>;

/** Largest limit that `"auto"` chooses: the limit of PaddlePaddle's example. */
const LARGEST_LIMIT = 20;
/** Largest fraction of a feature's uses that may be left without an id by "auto". */
const LARGEST_SHARE = 0.01;

/** Throws ERR_OPTION unless `limit` is an `AppearLimit` for features of these names. */
export function checkAppearLimit(limit: AppearLimit, features: readonly string[]): void {
  const isObject = typeof limit === "object" && limit !== null && !Array.isArray(limit);
  if (isObject) checkOptions("featureAppearLimit", limit, Object.fromEntries(features.map((name) => [name, true])));
  for (const value of isObject ? Object.values(limit) : [limit]) {
    if (value === "auto" || (Number.isSafeInteger(value) && (value as number) >= 0)) continue;
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected featureAppearLimit to be "auto" or a whole number from 0 on, for all or by feature, but received ${JSON.stringify(value) ?? String(value)}`,
    );
  }
}

/**
 * Returns the limit of a feature. "auto" means 0 for the item, since an item without an id can never be recommended.
 * For other features it means the largest limit, up to 20, that leaves at most 1 % of the uses without an id.
 */
export function appearLimitOf(limit: AppearLimit, name: string, counts: ValueCounts, isItem: boolean): number {
  const given = typeof limit !== "object" ? limit : Object.hasOwn(limit, name) ? limit[name]! : "auto";
  if (given !== "auto") return given;
  return isItem ? 0 : largestHarmlessLimit(counts);
}

function largestHarmlessLimit(counts: ValueCounts): number {
  const { rare, all } = counts.usesByCount(LARGEST_LIMIT);
  let leftOut = 0;
  for (let limit = 1; limit <= LARGEST_LIMIT; limit++) {
    leftOut += rare[limit]!;
    if (leftOut > LARGEST_SHARE * all) return limit - 1;
  }
  return LARGEST_LIMIT;
}
