import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../src/model/model.js";
import { type MineSimilarOptions, minePopular, mineSimilar, mineUsers } from "../../src/retrieve/mine.js";
import { temporaryFolder } from "../cli/run.js";
import { expectError } from "../data/temporary.js";
import { handModel } from "../hand_model.js";
import { assertNumbers } from "../ops/harness.js";
import { all } from "../small_model.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

let model: Model;
test.before(() => {
  model = handModel();
});
test.after(() => model.close());

test("popular items: falling counts, equals by rising id, shares of the known items' clicks", async () => {
  assert.equal(await all(minePopular(model)), [
    { item: "a", clicks: 5, share: 5 / 12 },
    { item: "b", clicks: 3, share: 3 / 12 },
    { item: "c", clicks: 3, share: 3 / 12 },
    { item: "d", clicks: 1, share: 1 / 12 },
    { item: "e", clicks: 0, share: 0 },
  ]);
  assert.equal(
    (await all(minePopular(model, { top: 2 }))).map(({ item }) => item),
    ["a", "b"],
  );
});

const similar = async (options?: MineSimilarOptions) => {
  const found = await all(mineSimilar(model, options));
  return new Map(found.map(({ item, similar: list }) => [item, list]));
};

test("similar items by hand: cosines of the output weights, equals by rising id, never the item itself", async () => {
  const found = await similar();
  const order = (item: string) =>
    found
      .get(item)!
      .map((other) => other.item)
      .join("");
  const cosines = (item: string) => found.get(item)!.map(({ similarity }) => similarity);
  assert.equal([...found.keys()].join(""), "abcde");
  // a [2, 0], b [0, 2], c [1, 1], d [−1, 0], e [0, 0]
  const half = Math.SQRT1_2;
  assert.equal(["a", "b", "c", "d", "e"].map(order), ["cbed", "cade", "abed", "beca", "abcd"]);
  assertNumbers(cosines("a"), [half, 0, 0, -1], 1e-6);
  assertNumbers(cosines("b"), [half, 0, 0, 0], 1e-6);
  assertNumbers(cosines("c"), [half, half, 0, -half], 1e-6);
  assertNumbers(cosines("d"), [0, 0, -half, -1], 1e-6);
  assertNumbers(cosines("e"), [0, 0, 0, 0], 1e-6);
});

test("similar items of some, in their order, and fewer of them", async () => {
  await writeFile(at("items.txt"), "c\na\n");
  const found = await similar({ items: at("items.txt"), top: 1 });
  assert.equal(
    [...found].map(([item, [nearest]]) => [item, nearest!.item]),
    [
      ["c", "a"],
      ["a", "c"],
    ],
  );
  await writeFile(at("strange.txt"), "a\nz\n");
  await expectError(similar({ items: at("strange.txt") }), "ERR_OPTION", 'The model does not know the item "z"');
  await writeFile(at("empty.txt"), "\n\n");
  await expectError(similar({ items: at("empty.txt") }), "ERR_FILE", "Expected one token a line but the file is empty");
});

test("similarities that are not finite are refused with the item", async () => {
  const broken = handModel();
  const weights = broken.store.read("output.weight") as Float32Array;
  weights[2 * 2] = Number.NaN;
  broken.store.write("output.weight", weights);
  await expectError(all(mineSimilar(broken)), "ERR_DIVERGED", "A similarity of item");
  broken.close();
});

test("users by their ids alone: the vector is the user's embedding", async () => {
  // ann [1, 0]: 2 0 1 −.5 1; bob [0, 2]: 0 4 2 .5 1
  const lists = await all(mineUsers(model, { top: 3 }));
  assert.equal(
    lists.map(({ user, known, items }) => [user, known, items.map(({ item }) => item).join("")]),
    [
      ["ann", undefined, "ace"],
      ["bob", undefined, "bce"],
    ],
  );
  await writeFile(at("users.txt"), "bob\nnobody\n");
  const warnings: string[] = [];
  const some = await all(
    mineUsers(model, { top: 1, users: at("users.txt"), onWarning: (text) => warnings.push(text) }),
  );
  assert.equal(
    some.map(({ user, known, items }) => [user, known, items[0]!.item]),
    [
      ["bob", undefined, "b"],
      ["nobody", false, "e"],
    ],
  );
  assert.equal(warnings, [`The model knows 1 of the 2 users of ${at("users.txt")}, not "nobody"`]);
});

test("users by a log: their histories count, and what they watched is left out", async () => {
  await writeFile(at("log.tsv"), "ann\ta;b\nnobody\tc\nbob\t\n");
  const lists = await all(mineUsers(model, { top: 2, log: at("log.tsv") }));
  assert.equal(
    lists.map(({ user, items }) => [user, items.map(({ item }) => item).join("")]),
    [
      ["ann", "ce"],
      ["nobody", "ab"],
      ["bob", "bc"],
    ],
  );
});

test("top is a whole number from 1, everywhere", async () => {
  for (const lists of [minePopular(model, { top: 0 }), mineSimilar(model, { top: 0 }), mineUsers(model, { top: 0 })]) {
    await expectError(lists.next(), "ERR_OPTION", "top");
  }
});

test.run();
