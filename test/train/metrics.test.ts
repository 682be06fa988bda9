import { test } from "uvu";
import * as assert from "uvu/assert";
import { PopularityRanking, rankingMetrics } from "../../src/train/metrics.js";

const MISS = Number.POSITIVE_INFINITY;

test("rank 1 counts whole everywhere", () => {
  assert.equal(rankingMetrics([1], [1, 10]), { hitRate: { 1: 1, 10: 1 }, ndcg: { 1: 1, 10: 1 }, mrr: 1 });
});

test("rank K is within the first K, rank K + 1 is not, and MRR knows no K", () => {
  const { hitRate, ndcg, mrr } = rankingMetrics([3, 4], [3]);
  assert.is(hitRate["3"], 1 / 2);
  assert.is(ndcg["3"], 1 / Math.log2(4) / 2);
  assert.is(mrr, (1 / 3 + 1 / 4) / 2);
});

test("a tie's half rank is within the first K where it is at most K", () => {
  const { hitRate, ndcg } = rankingMetrics([2.5], [2, 3]);
  assert.equal(hitRate, { 2: 0, 3: 1 });
  assert.equal(ndcg, { 2: 0, 3: 1 / Math.log2(3.5) });
});

test("a miss counts as a user who gains nothing", () => {
  const { hitRate, ndcg, mrr } = rankingMetrics([MISS, 1], [1, 1e9]);
  assert.equal(hitRate, { 1: 1 / 2, 1e9: 1 / 2 });
  assert.equal(ndcg, { 1: 1 / 2, 1e9: 1 / 2 });
  assert.is(mrr, 1 / 2);
});

test("by hand: ranks 1, 2, 4, 10.5 and a miss", () => {
  const { hitRate, ndcg, mrr } = rankingMetrics([1, 2, 4, 10.5, MISS], [1, 2, 10]);
  assert.equal(hitRate, { 1: 0.2, 2: 0.4, 10: 0.6 });
  // 1 / log₂ 3 = 0.63093, 1 / log₂ 5 = 0.43068
  assert.ok(Math.abs(ndcg["1"]! - 0.2) < 1e-12);
  assert.ok(Math.abs(ndcg["2"]! - 1.63093 / 5) < 1e-5);
  assert.ok(Math.abs(ndcg["10"]! - 2.06161 / 5) < 1e-5);
  assert.ok(Math.abs(mrr - (1 + 1 / 2 + 1 / 4 + 1 / 10.5) / 5) < 1e-12);
});

test("a rank that is NaN is no hit, and shows in MRR", () => {
  const { hitRate, ndcg, mrr } = rankingMetrics([Number.NaN, 1], [10]);
  assert.is(hitRate["10"], 1 / 2);
  assert.is(ndcg["10"], 1 / 2);
  assert.ok(Number.isNaN(mrr));
});

test("without users all metrics are 0; typed arrays are accepted", () => {
  assert.equal(rankingMetrics([], [5]), { hitRate: { 5: 0 }, ndcg: { 5: 0 }, mrr: 0 });
  assert.equal(rankingMetrics(Float32Array.of(1, 3), [2]), rankingMetrics([1, 3], [2]));
});

// <unk> has the most clicks but is not a candidate. Ids 2 and 3 have equal counts; 4 and 5 were never clicked.
const popularity = new PopularityRanking([100, 8, 5, 5, 0, 0]);
const rank = (target: number, excluded: readonly number[] = []) => popularity.rank(target, excluded);

test("popularity: the most clicked item is first, equals share the mean of their places", () => {
  assert.equal(
    [1, 2, 3, 4, 5].map((target) => rank(target)),
    [1, 2.5, 2.5, 4.5, 4.5],
  );
});

test("popularity: excluded items leave their places, whether they are better, equal or worse", () => {
  assert.is(rank(2, [1]), 1.5);
  assert.is(rank(2, [3]), 2);
  assert.is(rank(2, [1, 3]), 1);
  assert.is(rank(2, [4, 5]), 2.5);
  assert.is(rank(5, [1, 2, 3, 4]), 1);
});

test("popularity: the target stays a candidate, <unk> is none and has no rank", () => {
  assert.is(rank(2, [2]), 2.5);
  assert.is(rank(1, [0]), 1);
  assert.is(rank(0), MISS);
});

test("popularity orders counts as numbers, not as text", () => {
  const counts = new PopularityRanking(Float64Array.of(0, 9, 10, 100, 1));
  assert.equal(
    [1, 2, 3, 4].map((target) => counts.rank(target, [])),
    [3, 2, 1, 4],
  );
});

test.run();
