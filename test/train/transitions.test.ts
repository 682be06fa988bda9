import { test } from "uvu";
import * as assert from "uvu/assert";
import { TransitionRanking } from "../../src/train/transitions.js";
import { LENGTHS, randomClicks } from "../data/random_clicks.js";
import { A, B, C, clicksOf as clicksOfUsers, D, E } from "../hand_model.js";

const clicksOf = (users: readonly (readonly number[])[]) => clicksOfUsers(users.map((items) => [0, items] as const));

const ITEMS = 6;

/** a→b 1 + ½, a→c ½ + 1, a→d ⅓, b→c 1, b→d ½, c→d 1; a is clicked 3 times, b and c twice, d once, e never. */
const ranking = await TransitionRanking.count(
  clicksOf([
    [A, B, C, D],
    [A, C],
    [A, 0, B],
  ]),
  ITEMS,
);
const rank = (target: number, history: readonly number[], excluded: readonly number[] = []) =>
  ranking.rank(target, Int32Array.from(history), excluded);

test("by hand: b and c tie at 1.5 / 2^.3, d has ⅓", async () => {
  assert.equal(
    [B, C, D].map((target) => rank(target, [A], [A])),
    [1.5, 1.5, 3],
  );
  // c: (1.5 + .8) / 2^.3 = 1.87; b: 1.5 / 2^.3 = 1.22; d: ⅓ + .8 · ½ = .73.
  assert.equal(
    [C, B, D].map((target) => rank(target, [B, A], [A])),
    [1, 2, 3],
  );
  // b: .8 · 1.5 / 2^.3 = .97, d: ½ + .8 · ⅓ = .77; <unk> counts as a place, so a is three places back: with .8³, b has
  // .62 and d .67.
  assert.equal(
    [B, D].map((target) => rank(target, [A, B], [A])),
    [2, 3],
  );
  assert.equal(
    [B, D].map((target) => rank(target, [A, 0, 0, B], [A])),
    [3, 2],
  );
});

test("popularity is divided out", async () => {
  const divided = await TransitionRanking.count(
    clicksOf([[A, B, 0, 0, B, 0, 0, 0, A, C], [B], [B], [B], [B], [B], [B]]),
    ITEMS,
  );
  // The counts of b and c are 1 each, but b has 8 clicks and c has one.
  assert.equal(
    [B, C].map((target) => divided.rank(target, Int32Array.of(A), [])),
    [2, 1],
  );
});

test("items without transitions have equal ranks behind all others", async () => {
  assert.is(rank(E, [A]), 4.5);
  assert.is(rank(A, [A]), 4.5);
  assert.is(rank(E, [A], [A]), 4);
  assert.is(rank(E, []), 3);
  assert.is(rank(E, [], [A, B]), 2);
});

test("excluded items are not candidates, but the target always is; <unk> among the excluded is ignored", async () => {
  assert.is(rank(C, [A], [A, B]), 1);
  assert.is(rank(C, [A], [0, B, C]), 1);
  assert.is(rank(E, [A], [A, B, C, D, E]), 1);
  assert.is(rank(D, [A], [B]), 2);
});

test("<unk> is never a target, a source or a candidate", async () => {
  assert.is(rank(0, [A]), Number.POSITIVE_INFINITY);
  // Only the transition across it counts: a → b with gap 2, of the last user.
  const only = await TransitionRanking.count(clicksOf([[0, A, 0, B, 0]]), ITEMS);
  assert.is(only.rank(B, Int32Array.of(A), []), 1);
  assert.is(only.rank(E, Int32Array.of(0), []), 3);
});

test("transitions do not cross users, and gaps are at most 3", async () => {
  const two = await TransitionRanking.count(clicksOf([[A], [B], [C, 0, 0, D], [C, 0, 0, 0, E]]), ITEMS);
  assert.is(two.rank(B, Int32Array.of(A), []), 3);
  assert.is(two.rank(D, Int32Array.of(C), []), 1);
  assert.is(two.rank(E, Int32Array.of(C), []), 3.5);
});

test("random clicks: ranks are those of the formula, call after call", async () => {
  const items = 9;
  const clicks = randomClicks(LENGTHS, 0.2);
  const { ids } = clicks.itemFeatures[0]!;
  const users = LENGTHS.map((_, u) => [...ids.subarray(clicks.clickOffsets[u]!, clicks.clickOffsets[u + 1]!)]);
  const sixths = (source: number, target: number) => {
    let sum = 0;
    for (const user of users) {
      for (let i = 0; i < user.length; i++) {
        for (let gap = 1; gap <= 3; gap++) if (user[i] === source && user[i + gap] === target) sum += 6 / gap;
      }
    }
    return sum;
  };
  const score = (history: readonly number[], target: number) => {
    let sum = 0;
    [...history.slice(-10)].reverse().forEach((source, distance) => {
      if (source !== 0) sum += 0.8 ** distance * sixths(source, target);
    });
    const popularity = ids.filter((id) => id === target).length;
    return popularity > 0 ? sum * popularity ** -0.3 : 0;
  };
  const random = await TransitionRanking.count(clicks, items);
  for (const user of users) {
    const excluded = new Set(user.slice(0, 2));
    const candidates = Array.from({ length: items - 1 }, (_, i) => i + 1);
    for (const target of candidates) {
      const own = score(user, target);
      const others = candidates
        .filter((item) => item !== target && !excluded.has(item))
        .map((item) => score(user, item));
      const expected = 1 + others.filter((s) => s > own).length + others.filter((s) => s === own).length / 2;
      assert.is(random.rank(target, Int32Array.from(user), excluded), expected);
    }
  }
});

test.run();
