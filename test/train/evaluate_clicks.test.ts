import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseProgram } from "../../src/graph/program.js";
import { HIGHEST_SCORE } from "../../src/model/merge_scans.js";
import { Model } from "../../src/model/model.js";
import { evaluateClicks, evaluateUsers, hasKnownTarget, hasNewTarget } from "../../src/train/evaluate.js";
import { rankingMetrics } from "../../src/train/metrics.js";
import { expectError } from "../data/temporary.js";
import { A, ANN, B, BOB, C, clicksOf, D, handModel } from "../hand_model.js";

/**
 * Each user's last click is the target. Scores of a, b, c, d, e:
 *
 *     ann after a, b    u = [1.5, 0.5]    3  1  2  −1   1
 *     bob               u = [0, 2]        0  4  2  0.5  1
 *     bob after a       u = [1, 2]        2  4  3  −0.5 1
 *     nobody            u = [0, 0]        0  0  0  0.5  1
 */
const clicks = clicksOf([
  [ANN, [A, B, C]],
  [ANN, [A, B, D]],
  [BOB, [B]],
  [BOB, [A, 0]],
  [ANN, [A, B, A]],
  [0, [0, B]],
]);
const TOPS = [1, 2, 3];
const MISS = Number.POSITIVE_INFINITY;

let model: Model;
test.before(() => {
  model = handModel();
});
test.after(() => model.close());

test("by hand: ranks among the items that the user has not watched, beside popularity", async () => {
  const evaluation = await evaluateClicks(model, { clicks }, { tops: TOPS });
  const { users, unknownTargets, watchedTargets, hitRate, ndcg, mrr, popularity } = evaluation;
  assert.equal([users, unknownTargets, watchedTargets], [6, 1, 1]);
  // The last user's target b has the same score as a and c, and e and d have higher scores.
  assert.equal({ hitRate, ndcg, mrr }, rankingMetrics([1, 3, 1, MISS, MISS, 4], TOPS));
  assert.equal(hitRate, { 1: 2 / 6, 2: 2 / 6, 3: 3 / 6 });
  assert.ok(Math.abs(mrr - (1 + 1 / 3 + 1 + 1 / 4) / 6) < 1e-12);
  // Clicks in training: 5 on a, 3 on b and on c, 1 on d, none on e.
  assert.equal(popularity, rankingMetrics([1, 2, 2.5, MISS, MISS, 2.5], TOPS));
  assert.is(evaluation.transitions, undefined);
  assert.is(evaluation.trainedTargets, undefined);
});

test("coverage is the share of items that stand on some list of that length", async () => {
  const { coverage } = await evaluateClicks(model, { clicks }, { tops: TOPS });
  // Shortlists: c e d, the same, b c e, b c e, c e d, and e d a (a, b and c have equal scores).
  assert.equal(coverage, { 1: 3 / 5, 2: 4 / 5, 3: 5 / 5 });
});

test("keepWatched: watched items compete, and a watched target can be hit", async () => {
  const kept = await evaluateClicks(model, { clicks }, { tops: TOPS, keepWatched: true });
  assert.equal([kept.users, kept.unknownTargets, kept.watchedTargets], [6, 1, 0]);
  const { hitRate, ndcg, mrr } = kept;
  assert.equal({ hitRate, ndcg, mrr }, rankingMetrics([2, 5, 1, MISS, 1, 4], TOPS));
  assert.equal(kept.popularity, rankingMetrics([2.5, 4, 2.5, MISS, 1, 2.5], TOPS));
});

test("transitions are counted in the training clicks and ranked in the same way", async () => {
  const trainingClicks = clicksOf([
    [ANN, [A, C]],
    [BOB, [B, D]],
  ]);
  const { transitions } = await evaluateClicks(model, { clicks }, { tops: TOPS, trainingClicks });
  // After a, b, d scores 6 and c scores .8 · 6. Without transitions, all five items have equal scores.
  assert.equal(transitions, rankingMetrics([2, 1, 3, MISS, MISS, 3], TOPS));
});

test("an evaluation says what it measured", async () => {
  const protocol = {
    split: "last-click",
    minClicks: 1,
    rankedItems: 5,
    watchedItems: "left-out",
    ties: "mean-rank",
    unknownTargets: "misses",
  };
  assert.equal((await evaluateClicks(model, { clicks })).protocol, protocol);
  const other = await evaluateClicks(model, { clicks, minClicks: 2 }, { keepWatched: true });
  assert.equal(other.protocol, { ...protocol, minClicks: 2, watchedItems: "ranked" });
});

test("users with fewer clicks than asked for are left out", async () => {
  const { users, hitRate, ndcg, mrr } = await evaluateClicks(model, { clicks, minClicks: 2 }, { tops: TOPS });
  assert.is(users, 5);
  assert.equal({ hitRate, ndcg, mrr }, rankingMetrics([1, 3, MISS, MISS, 4], TOPS));
});

test("tops beyond the catalogue list all of it; unless given they are 10, 50, 100 and 200", async () => {
  const { hitRate, coverage } = await evaluateClicks(model, { clicks });
  assert.equal(Object.keys(hitRate), ["10", "50", "100", "200"]);
  assert.equal(hitRate, { 10: 4 / 6, 50: 4 / 6, 100: 4 / 6, 200: 4 / 6 });
  assert.equal(coverage, { 10: 1, 50: 1, 100: 1, 200: 1 });
});

test("an aborted signal stops it", async () => {
  const reason = new Error("enough");
  const stopped = evaluateClicks(model, { clicks }, { signal: AbortSignal.abort(reason) });
  assert.is(await stopped.catch((error: unknown) => error), reason);
});

/** The model with a Program whose scans cannot be merged, because it has another tensor of the name of the result. */
function modelWithTwoScans({ description, program, engine, store }: Model): Model {
  const renamed = JSON.stringify(program)
    .replaceAll('"score"', `"${HIGHEST_SCORE}"`)
    .replace(`"${HIGHEST_SCORE}":`, '"score":');
  return new Model(description, parseProgram(renamed), engine, store, "given");
}

test("one scan of the items gives the results of two", async () => {
  const twice = modelWithTwoScans(model);
  const ops = (of: Model) => of.rankingExecutor().program.instructions.map(({ op }) => op);
  assert.equal(ops(model).slice(-1), ["top_n_and_rank"]);
  assert.equal(ops(twice).slice(-2), ["top_n", "target_rank"]);
  for (const keepWatched of [false, true]) {
    const options = { tops: TOPS, keepWatched };
    assert.equal(await evaluateClicks(model, { clicks }, options), await evaluateClicks(twice, { clicks }, options));
  }
});

test("many batches are evaluated as one", async () => {
  const users = Array.from({ length: 600 }, (_, i): [number, number[]] => [i % 3, [A, B, C, D, A].slice(i % 4)]);
  const all = clicksOf(users);
  const { ranks } = await evaluateUsers(model, { clicks: all });
  const single = await Promise.all(
    users.slice(0, 12).map((user) => evaluateUsers(model, { clicks: clicksOf([user]) })),
  );
  assert.equal(
    ranks,
    users.map((_, i) => single[i % 12]!.ranks[0]!),
  );
});

test("scores that are not finite are ERR_DIVERGED with the user, with one scan and with two", async () => {
  for (const [score, isRefused] of [
    [Number.NaN, true],
    [Number.POSITIVE_INFINITY, true],
    [Number.NEGATIVE_INFINITY, false],
  ] as const) {
    const broken = handModel();
    broken.store.write("output.bias", Float32Array.of(9, 0, score, 0, 0, 0));
    for (const evaluated of [broken, modelWithTwoScans(broken)]) {
      const evaluation = evaluateClicks(evaluated, { clicks });
      if (isRefused) await expectError(evaluation, "ERR_DIVERGED", "The scores of user 1 are not finite");
      else assert.is((await evaluation).users, 6);
    }
    broken.close();
  }
});

test("whether there is a target that could be hit", () => {
  const known = clicksOf([
    [ANN, [A, 0]],
    [BOB, [B]],
  ]);
  assert.equal([hasKnownTarget({ clicks: known }), hasKnownTarget({ clicks: known, minClicks: 2 })], [true, false]);
  assert.equal([hasNewTarget({ clicks: known }), hasNewTarget({ clicks: known, minClicks: 2 })], [true, false]);
  const watched = clicksOf([[ANN, [A, B, A]]]);
  assert.equal([hasKnownTarget({ clicks: watched }), hasNewTarget({ clicks: watched })], [true, false]);
  const none = clicksOf([]);
  assert.equal([hasKnownTarget({ clicks: none }), hasNewTarget({ clicks: none })], [false, false]);
});

test.run();
