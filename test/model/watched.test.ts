import { test } from "uvu";
import * as assert from "uvu/assert";
import { type WatchedOptions, watchedItems } from "../../src/model/watched.js";
import { A, ANN, B, BOB, C, clicksOf, D } from "../hand_model.js";

const clicks = clicksOf([
  [ANN, [A, B, A]],
  [BOB, []],
  [ANN, [0, C, 0]],
  [BOB, [D, C, D, D]],
]);
const watched = (first: number, count: number, options?: WatchedOptions) => {
  const { ids, offsets } = watchedItems(clicks, first, count, options);
  return Array.from({ length: count }, (_, s) => [...ids.subarray(offsets[s]!, offsets[s + 1]!)].sort());
};

test("watched items are listed once each, without <unk>; none for a user without clicks", () => {
  assert.equal(watched(0, 4), [[A, B], [], [C], [C, D]]);
});

test("some users of all", () => {
  assert.equal(watched(2, 2), [[C], [C, D]]);
  assert.equal(watched(1, 1), [[]]);
  assert.equal(watched(4, 0), []);
});

test("without the last click: an item that was clicked before it as well stays", () => {
  assert.equal(watched(0, 1, { withoutLast: true }), [[A, B]]);
  assert.equal(watched(2, 2, { withoutLast: true }), [[C], [C, D]]);
  const once = clicksOf([[ANN, [A, B]]]);
  assert.equal([...watchedItems(once, 0, 1, { withoutLast: true }).ids], [A]);
  assert.equal([...watchedItems(clicksOf([[ANN, [A]]]), 0, 1, { withoutLast: true }).ids], []);
});

test("none: every user's list is empty", () => {
  const { ids, offsets } = watchedItems(clicks, 0, 4, { none: true });
  assert.equal([[...ids], [...offsets]], [[], [0, 0, 0, 0, 0]]);
});

test.run();
