import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../src/model/model.js";
import { recommendClicks, type ShortlistOptions } from "../../src/retrieve/recommend.js";
import { expectError } from "../data/temporary.js";
import { A, ANN, B, BOB, C, clicksOf, D, E, handModel } from "../hand_model.js";
import { assertNumbers } from "../ops/harness.js";
import { all } from "../small_model.js";

let model: Model;
test.before(() => {
  model = handModel();
});
test.after(() => model.close());

/**
 * Scores of a, b, c, d, e:
 *
 *     ann after a, b     u = [1.5, 0.5]    3  1  2  −1   1
 *     bob                u = [0, 2]        0  4  2  0.5  1
 *     nobody after <unk> u = [0, 0]        0  0  0  0.5  1
 *     nobody after c     u = [1, 1]        2  2  2  −0.5 1
 */
const clicks = clicksOf([
  [ANN, [A, B]],
  [BOB, []],
  [0, [0]],
  [0, [C]],
]);
const NAMES = ["ann", "bob", "stranger", "guest"];
const SCORES = [
  [3, 1, 2, -1, 1],
  [0, 4, 2, 0.5, 1],
  [0, 0, 0, 0.5, 1],
  [2, 2, 2, -0.5, 1],
];
const shortlists = (options?: ShortlistOptions, of = clicks) => all(recommendClicks(model, of, NAMES, options));
const itemsOf = async (options?: ShortlistOptions) =>
  (await shortlists(options)).map(({ items }) => items.map(({ item }) => item).join(""));

test("by hand: items in order of decreasing score, equal ones by increasing id, without watched items", async () => {
  assert.equal(await itemsOf(), ["ced", "bceda", "edabc", "abed"]);
  assert.equal(await itemsOf({ top: 2 }), ["ce", "bc", "ed", "ab"]);
  assert.equal(await itemsOf({ top: 1 }), ["c", "b", "e", "a"]);
});

test("with keepWatched, watched items compete", async () => {
  assert.equal(await itemsOf({ keepWatched: true }), ["acbed", "bceda", "edabc", "abced"]);
});

test("scores are w · u + b, probabilities their share of all items, the watched ones too", async () => {
  const lists = await shortlists();
  lists.forEach(({ items }, user) => {
    const sum = SCORES[user]!.reduce((total, score) => total + Math.exp(score), 0);
    for (const { item, score, probability } of items) {
      const expected = SCORES[user]!["abcde".indexOf(item)]!;
      assert.is(score, expected);
      assertNumbers([probability!], [Math.exp(expected) / sum], 1e-6);
    }
  });
});

test("users keep their order and names; known is false where neither the id nor a click is", async () => {
  const lists = await shortlists();
  assert.equal(
    lists.map(({ user, known }) => [user, known]),
    [
      ["ann", undefined],
      ["bob", undefined],
      ["stranger", false],
      ["guest", undefined],
    ],
  );
});

test("a user who has watched everything gets an empty list; a log without users gives no lists", async () => {
  const [{ items } = { items: undefined }] = await shortlists({}, clicksOf([[ANN, [A, B, C, D, E]]]));
  assert.equal(items, []);
  assert.equal(await shortlists({}, clicksOf([])), []);
});

test("top is a whole number from 1, keepWatched a flag", async () => {
  await expectError(shortlists({ top: 0 }), "ERR_OPTION", "top");
  await expectError(shortlists({ keepWatched: 1 as unknown as boolean }), "ERR_OPTION", "keepWatched");
});

test("an aborted signal stops it between users with its reason", async () => {
  const reason = new Error("enough");
  const controller = new AbortController();
  const seen: string[] = [];
  try {
    for await (const { user } of recommendClicks(model, clicks, NAMES, { signal: controller.signal })) {
      seen.push(user);
      if (seen.length === 2) controller.abort(reason);
    }
    assert.unreachable();
  } catch (error) {
    assert.is(error, reason);
  }
  assert.equal(seen, ["ann", "bob"]);
});

test("a closed model says so between users", async () => {
  const closing = handModel();
  const lists = recommendClicks(closing, clicks, NAMES);
  assert.is((await lists.next()).value?.user, "ann");
  closing.close();
  await expectError(lists.next(), "ERR_EXECUTOR", "The model is closed");
});

test.run();
