import { checkOptions, ShortlistError } from "../errors.js";
import type { ValueCounts } from "./token_table.js";

/**
 * Which values get an id of their own: those that appear more often than the limit. A number holds for every feature.
 * `"auto"` chooses a limit for each feature from its counts (docs/math.md#vocabulary-and-noise). An object has the limits
 * of some features by name; the others are `"auto"`.
 */
export type AppearLimit = number | "auto" | Readonly<Record<string, number | "auto">>;

/** Largest limit that `"auto"` chooses: the limit of PaddlePaddle's example. */
const LARGEST_LIMIT = 20;
/** Largest share of a feature's uses that `"auto"` leaves without an id. */
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
 * The limit of a feature. `"auto"` is 0 for the item, since an item without an id can never be recommended. For another
 * feature it is the largest limit, at most 20, that leaves at most 1 % of the feature's uses without an id.
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
