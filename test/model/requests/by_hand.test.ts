import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../../src/index.js";
import { recommendClicks } from "../../../src/retrieve/recommend.js";
import { expectError } from "../../data/temporary.js";
import { A, ANN, B, BOB, C, clicksOf, handModel } from "../../hand_model.js";
import { all } from "../../small_model.js";

/**
 * Scores of a, b, c, d, e:
 *
 *     ann after a, b     u = [1.5, 0.5]    3  1  2  −1   1
 *     bob                u = [0, 2]        0  4  2  0.5  1
 *     nobody after c     u = [1, 1]        2  2  2  −0.5 1
 */
const ann = { features: { user_id: "ann" }, history: ["a", "b"] };
const bob = { features: { user_id: "bob" } };
const guest = { history: [{ item: "c" }] };
const log = clicksOf([
  [ANN, [A, B]],
  [BOB, []],
  [0, [C]],
]);

let model: Model;
test.before(() => {
  model = handModel();
});
test.after(() => model.close());

const named = (list: { readonly items: readonly { readonly item: string }[] }) =>
  list.items.map(({ item }) => item).join("");

test("one user gets one answer, an array an array, with the bits of the log form", async () => {
  const lists = await all(recommendClicks(model, log, ["ann", "bob", "guest"]));
  const answers = await model.recommend([ann, bob, guest]);
  assert.equal(answers.map(named), ["ced", "bceda", "abed"]);
  assert.equal(
    answers.map(({ items }) => items.map(({ item, score, probability }) => ({ item, score, probability }))),
    lists.map(({ items }) => items),
  );
  assert.equal(await model.recommend(ann), answers[0]);
  assert.equal(await model.recommend([bob]), [answers[1]]);
  assert.equal(await model.recommend([]), []);
  assert.equal(
    answers[0]!.items.map(({ id }) => id),
    [3, 5, 4],
  );
});

test("top, keepWatched, exclude and allow", async () => {
  const list = async (options: Parameters<Model["recommend"]>[1]) => named(await model.recommend(ann, options));
  assert.is(await list({ top: 1 }), "c");
  assert.is(await list({ keepWatched: true }), "acbed");
  assert.is(await list({ exclude: ["c", "stranger", "c"] }), "ed");
  assert.is(await list({ exclude: ["c"], keepWatched: true, top: 2 }), "ab");
  assert.is(await list({ allow: ["e", "a", "d"] }), "ed");
  assert.is(await list({ allow: ["e", "a", "d", "e"], keepWatched: true }), "aed");
  assert.is(await list({ allow: ["e", "d"], exclude: ["e"] }), "d");
  assert.is(await list({ allow: ["e", "d"], top: 1 }), "e");
  for (const allow of [[], ["stranger"], ["a"]]) assert.is(await list({ allow }), "");
});

test("allowed items keep their scores; probabilities are shares among the allowed ones", async () => {
  const [, c, e] = (await model.recommend(ann, { keepWatched: true })).items;
  assert.is(c!.item, "c");
  const { items } = await model.recommend(ann, { allow: ["c", "d"] });
  assert.equal(
    items.map(({ item, score }) => [item, score]),
    [
      ["c", c!.score],
      ["d", -1],
    ],
  );
  assert.ok(Math.abs(items[0]!.probability! - Math.exp(2) / (Math.exp(2) + Math.exp(-1))) < 1e-6);
  assert.is(e!.score, 1);
});

test("what the model does not know is reported, with its place", async () => {
  const user = { features: { user_id: "zoe" }, history: ["a", "x", { item: "y" }, "NULL"] };
  const answer = await model.recommend(user, { allow: ["a", "b", "z"], exclude: ["w"] });
  assert.equal(answer.unknown, [
    { field: "features.user_id", value: "zoe" },
    { field: "history[1]", value: "x" },
    { field: "history[2].item", value: "y" },
    { field: "history[3]", value: "NULL" },
    { field: "allow[2]", value: "z" },
  ]);
  assert.is(answer.known, true);
  const [first, second] = await model.recommend([bob, { history: ["x"] }]);
  assert.equal([first!.known, first!.unknown], [true, []]);
  assert.equal([second!.known, second!.unknown], [false, [{ field: "users[1].history[0]", value: "x" }]]);
  const { known, unknown } = await model.recommend({ features: { user_id: null } });
  assert.equal([known, unknown], [false, []]);
});

test("explain: the clicks whose removal changes the score most", async () => {
  const { items } = await model.recommend(ann, { explain: true, keepWatched: true });
  const because = (item: string) => items.find((one) => one.item === item)!.because!;
  const half = Math.SQRT1_2;
  const rounded = (item: string) =>
    because(item).map(({ item, position, effect, similarity }) => [
      item,
      position,
      effect,
      Math.round(similarity * 1e6),
    ]);
  // Without b, the user's vector is [2, 0]; without a, it is [1, 1].
  assert.equal(rounded("a"), [
    ["a", 0, 1, 1e6],
    ["b", 1, -1, 0],
  ]);
  assert.equal(rounded("d"), [
    ["b", 1, 0.5, 0],
    ["a", 0, -0.5, -1e6],
  ]);
  assert.equal(rounded("c"), [
    ["b", 1, 0, Math.round(half * 1e6)],
    ["a", 0, 0, Math.round(half * 1e6)],
  ]);
  assert.is((await model.recommend(ann)).items[0]!.because, undefined);
  const [empty] = (await model.recommend(bob, { explain: true })).items;
  assert.equal(empty!.because, []);
  const strange = await model.recommend({ history: ["x", "a"] }, { explain: true, top: 1 });
  assert.equal(strange.items[0]!.because!.map(({ item, position }) => [item, position]).sort(), [
    ["<unk>", 0],
    ["a", 1],
  ]);
});

test("score: the scores of a shortlist, in the order of the given items", async () => {
  const answer = await model.score(ann, ["d", "a", "x", "d"]);
  assert.equal(answer.items, [
    { item: "d", id: 4, score: -1 },
    { item: "a", id: 1, score: 3 },
    { item: "d", id: 4, score: -1 },
  ]);
  assert.equal(answer.unknown, [{ field: "items[2]", value: "x" }]);
  const answers = await model.score([bob, guest], ["b", "c"]);
  assert.equal(
    answers.map(({ items }) => items.map(({ score }) => score)),
    [
      [4, 2],
      [2, 2],
    ],
  );
  assert.equal((await model.score(bob, [])).items, []);
  assert.equal((await model.score(bob, ["x"])).items, []);
});

test("userVectors: the vectors of docs/math.md", async () => {
  assert.equal([...(await model.userVectors(ann)).vector], [1.5, 0.5]);
  const vectors = await model.userVectors([bob, guest, { features: { user_id: "zoe" } }]);
  assert.equal(
    vectors.map(({ vector, known }) => [...vector, known]),
    [
      [0, 2, true],
      [1, 1, true],
      [0, 0, false],
    ],
  );
  assert.equal(vectors[2]!.unknown, [{ field: "users[2].features.user_id", value: "zoe" }]);
});

test("similar: cosines of output weights, ties by rising id", async () => {
  const list = await model.similar("a");
  assert.equal(
    list.similar.map(({ item, id }) => [item, id]),
    [
      ["c", 3],
      ["b", 2],
      ["e", 5],
      ["d", 4],
    ],
  );
  assert.ok(Math.abs(list.similar[0]!.similarity - Math.SQRT1_2) < 1e-6);
  assert.equal([list.item, list.known, list.unknown], ["a", true, []]);
  const lists = await model.similar(["x", "a", "c"], { top: 2, exclude: ["c"], allow: ["a", "c", "d", "q"] });
  assert.equal(
    lists.map(({ item, known, similar }) => [item, known, similar.map(({ item }) => item).join("")]),
    [
      ["x", false, ""],
      ["a", true, "d"],
      ["c", true, "ad"],
    ],
  );
  const allowed = { field: "allow[3]", value: "q" };
  assert.equal(lists[0]!.unknown, [{ field: "items[0]", value: "x" }, allowed]);
  assert.equal(lists[1]!.unknown, [allowed]);
  assert.equal(await model.similar([]), []);
  assert.equal((await model.similar("x")).similar, []);
});

test("a closed model says so", async () => {
  const closed = handModel();
  await closed.similar("a");
  closed.close();
  for (const call of [closed.recommend(ann), closed.score(ann, ["a"]), closed.userVectors(ann), closed.similar("a")]) {
    await expectError(call, "ERR_EXECUTOR", "The model is closed");
  }
});

test.run();
