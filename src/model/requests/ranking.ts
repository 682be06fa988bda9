import type { RunOutputs } from "../../executors/executor.js";
import type { Model } from "../model.js";
import { notFinite } from "../scores.js";
import { titleOf } from "../titled.js";

/** The outputs of the inference Program that a shortlist is made of. */
export const RANKED_OUTPUTS: readonly string[] = ["items", "score", "log_partition"];

/** An item of a shortlist. */
export interface RankedItem {
  /** Token of the item. */
  readonly item: string;
  /** Id of the item: its row in the model's tables, and its line in the vocabulary, both from 0. */
  readonly id: number;
  /** Title of the item, if the model knows one. */
  readonly title?: string;
  /** w·u + b for the item and the user (docs/math.md#the-network). */
  readonly score: number;
}

/**
 * Places `begin` … `end` − 1 of the shortlist of a sample. There are fewer if it ends before. `top` is the number of
 * places of each sample in the outputs. Throws ERR_DIVERGED if a score is not finite.
 */
export function rankedItems(
  model: Model,
  outputs: RunOutputs,
  { sample, top, begin, end }: Readonly<Record<"sample" | "top" | "begin" | "end", number>>,
  nameOf: (sample: number) => string,
): RankedItem[] {
  const ranked: RankedItem[] = [];
  for (let place = sample * top + begin; place < sample * top + end; place++) {
    const id = outputs["items"]![place]!;
    if (id < 0) break;
    const score = outputs["score"]![place]!;
    if (!Number.isFinite(score)) throw notFinite(`A score of ${nameOf(sample)} is`);
    ranked.push({ item: model.items.token(id), id, ...titleOf(model, id), score });
  }
  return ranked;
}

/** exp(score) / Σ exp(score), where `logPartition` is the logarithm of the sum. */
export function probabilityOf(score: number, logPartition: number): number {
  return Math.exp(score - logPartition);
}
