import type { RankingMetrics } from "../model/training_record.js";

/**
 * HitRate@K, NDCG@K and MRR with one target per user, averaged over all users. `ranks[i]` is the rank of user i's
 * target among all candidates, from 1. Ties give the mean of the tied ranks (see `target_rank`), and +∞ is a miss. The
 * NDCG of a single target within the first K is 1 / log₂(1 + rank).
 */
export function rankingMetrics(ranks: ArrayLike<number>, tops: readonly number[]): RankingMetrics {
  const hitRate: Record<string, number> = {};
  const ndcg: Record<string, number> = {};
  const users = Math.max(1, ranks.length);
  for (const top of tops) {
    let hits = 0;
    let gain = 0;
    for (let i = 0; i < ranks.length; i++) {
      const rank = ranks[i]!;
      if (!(rank <= top)) continue;
      hits++;
      gain += 1 / Math.log2(1 + rank);
    }
    hitRate[top] = hits / users;
    ndcg[top] = gain / users;
  }
  let reciprocal = 0;
  for (let i = 0; i < ranks.length; i++) reciprocal += 1 / ranks[i]!;
  return { hitRate, ndcg, mrr: reciprocal / users };
}

/** The ranking metrics of an object that also has other members. */
export function rankingOf({ hitRate, ndcg, mrr }: RankingMetrics): RankingMetrics {
  return { hitRate, ndcg, mrr };
}

/**
 * Ranks a target by item counts, in the way in which `target_rank` ranks it by score. It is the baseline that a model
 * must beat.
 */
export class PopularityRanking {
  readonly #counts: ArrayLike<number>;
  /** Counts of all candidates, largest first. */
  readonly #sorted: Float64Array;

  /**
   * `counts[id]` is the number of clicks on item `id`. `counts[0]`, that of `<unk>`, is not used: it is no candidate.
   */
  constructor(counts: ArrayLike<number>) {
    this.#counts = counts;
    this.#sorted = Float64Array.from({ length: counts.length - 1 }, (_, i) => counts[i + 1]!)
      .sort()
      .reverse();
  }

  /**
   * Returns the rank of `target`, with ties averaged, among all items but the `excluded` ones (distinct ids); +∞ for
   * `<unk>`.
   */
  rank(target: number, excluded: Iterable<number>): number {
    if (target === 0) return Number.POSITIVE_INFINITY;
    const count = this.#counts[target]!;
    let higher = this.#firstAtMost(count);
    let equal = this.#firstAtMost(count - 0.5) - higher - 1;
    for (const id of excluded) {
      if (id === 0 || id === target) continue;
      if (this.#counts[id]! > count) higher--;
      else if (this.#counts[id] === count) equal--;
    }
    return 1 + higher + equal / 2;
  }

  /** Returns the number of candidates whose count is above `limit`. */
  #firstAtMost(limit: number): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sorted[middle]! > limit) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
