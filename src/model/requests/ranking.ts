import type { RunOutputs } from "../../executors/executor.js";
import type { Model } from "../model.js";
import { notFinite } from "../scores.js";

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
  /**
   * exp(score) / Σ exp(score), with the sum over all items, or over the allowed ones. Undefined without
   * `probabilities`.
   */
  readonly probability?: number;
}

/**
 * Returns the number of items of a sample, which has `top` places in the outputs. Throws ERR_DIVERGED, with the name of
 * the sample, if a score is not finite.
 */
export function countRanked(outputs: RunOutputs, sample: number, top: number, name: string): number {
  const [ids, scores] = [outputs["items"]!, outputs["score"]!];
  let count = 0;
  for (let place = sample * top; count < top && ids[place]! >= 0; place++, count++) {
    if (!Number.isFinite(scores[place])) throw notFinite(`A score of ${name} is`);
  }
  return count;
}

/**
 * Makes the items of places `first` … `end` − 1 of the outputs. They get a probability if `logPartition` is given, the
 * logarithm of the sum of exp(score).
 */
export function rankedItems(
  { items, description: { titles } }: Model,
  outputs: RunOutputs,
  first: number,
  end: number,
  logPartition: number | undefined,
): RankedItem[] {
  const [ids, scores] = [outputs["items"]!, outputs["score"]!];
  const list: RankedItem[] = [];
  for (let place = first; place < end; place++) {
    const id = ids[place]!;
    const score = scores[place]!;
    const item = items.token(id);
    const title = titles?.titleOf(id);
    // Literals, because copies of members would be garbage that a busy service collects often.
    if (logPartition === undefined) {
      list.push(title === undefined ? { item, id, score } : { item, id, title, score });
    } else {
      const probability = Math.exp(score - logPartition);
      list.push(title === undefined ? { item, id, score, probability } : { item, id, title, score, probability });
    }
  }
  return list;
}
