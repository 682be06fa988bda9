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

/** A part of a shortlist: places `begin` … `end` − 1 of a sample, which has `top` places in the outputs. */
export interface Places {
  readonly sample: number;
  readonly top: number;
  readonly begin: number;
  readonly end: number;
}

/**
 * Adds a part of a shortlist to a list; fewer items than places if the shortlist ends before. Items get a probability
 * if `logPartition` is given, the logarithm of the sum of exp(score). Throws ERR_DIVERGED if a score is not finite.
 */
export function addRanked(
  list: RankedItem[],
  { items, description: { titles } }: Model,
  outputs: RunOutputs,
  { sample, top, begin, end }: Places,
  logPartition: number | undefined,
  nameOf: (sample: number) => string,
): void {
  const [ids, scores] = [outputs["items"]!, outputs["score"]!];
  for (let place = sample * top + begin; place < sample * top + end; place++) {
    const id = ids[place]!;
    if (id < 0) break;
    const score = scores[place]!;
    if (!Number.isFinite(score)) throw notFinite(`A score of ${nameOf(sample)} is`);
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
}
