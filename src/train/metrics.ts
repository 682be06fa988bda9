import type { RankingMetrics } from "../model/training_record.js";

/**
 * HitRate@K, NDCG@K and MRR of one target a user, over all users. `ranks[i]` is the target's rank among all candidates
 * (1 is best; half ranks where candidates tie, see `target_rank`; +∞ is a miss). A single target's NDCG is
 * 1 / log₂(1 + rank) within the first K.
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

/** The ranking metrics of something that has others beside them. */
export function rankingOf({ hitRate, ndcg, mrr }: RankingMetrics): RankingMetrics {
  return { hitRate, ndcg, mrr };
}

/**
 * Ranks a target by the items' counts, the way `target_rank` ranks it by score: the baseline that a model must beat.
 */
export class PopularityRanking {
  readonly #counts: ArrayLike<number>;
  /** Counts of the candidates, falling. */
  readonly #sorted: Float64Array;

  /** `counts[0]` is `<unk>`'s and no candidate. */
  constructor(counts: ArrayLike<number>) {
    this.#counts = counts;
    this.#sorted = Float64Array.from({ length: counts.length - 1 }, (_, i) => counts[i + 1]!)
      .sort()
      .reverse();
  }

  /** Mid-rank of `target` without the `excluded` items (distinct ids); +∞ for `<unk>`. */
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

  /** How many candidates have a count above `limit`. */
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
