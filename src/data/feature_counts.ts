import { ShortlistError } from "../errors.js";
import type { ValueCounts } from "./token_table.js";
import type { Vocabulary } from "./vocabulary.js";

/** How many values of a feature its vocabulary holds, and how many it leaves out because they are too rare. */
export interface FeatureCounts {
  /** Name of the feature. */
  readonly name: string;
  /**
   * Unit of `uses`: lines for a user feature, clicks for an item feature, values ("uses") for a multi-valued feature,
   * tokens for searches.
   */
  readonly unit: "lines" | "clicks" | "uses" | "tokens";
  /** Values that appear more often than this have an id of their own. */
  readonly appearLimit: number;
  /** Number of distinct values. */
  readonly values: number;
  /** Number of distinct values that are too rare for an id of their own. */
  readonly valuesLeftOut: number;
  /** Number of lines, clicks or uses with a value. */
  readonly uses: number;
  /** Number of those whose value has no id of its own. */
  readonly usesLeftOut: number;
}

/** Returns how many values of a feature get an id with a limit. */
export function featureCountsOf(
  name: string,
  unit: FeatureCounts["unit"],
  counts: ValueCounts,
  appearLimit: number,
): FeatureCounts {
  return {
    name,
    unit,
    appearLimit,
    values: counts.size,
    valuesLeftOut: counts.size - counts.sizeAbove(appearLimit),
    uses: counts.below(Number.POSITIVE_INFINITY) - counts.unknown,
    usesLeftOut: counts.below(appearLimit) - counts.unknown,
  };
}

/** Throws ERR_VOCABULARY if no item is frequent enough for an id. */
export function checkItems(vocabulary: Vocabulary, name: string, counts: ValueCounts, appearLimit: number): void {
  if (vocabulary.size > 1) return;
  throw new ShortlistError(
    "ERR_VOCABULARY",
    `Expected a value of "${name}" that appears more than ${appearLimit} times, but the most frequent of ${counts.size} appears ${counts.highest} times: lower --feature-appear-limit`,
  );
}
