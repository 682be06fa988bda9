import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { extendModelFolder, type Model, openModel, type UserRequest } from "../../../src/index.js";
import { temporaryFolder } from "../../cli/run.js";
import { expectError } from "../../data/temporary.js";
import { fixtures } from "../../fixtures/fixtures.js";
import { BROKEN_CATALOGUES, copyWithTensors } from "./broken_catalogues.js";
import { clicksOf, makeRichModel } from "./rich_model.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
test.before(() => makeRichModel(folder));

const withModel = async (name: string, work: (model: Model) => Promise<void>) => {
  using model = await openModel(at(name), { threads: 1 });
  await work(model);
};

/** The histories of some users with all fields, and without attributes of the items. */
const histories = Array.from({ length: 50 }, (_, user) => clicksOf(user));
const whole = histories.map((history): UserRequest => ({ history }));
const bare = histories.map(
  (history): UserRequest => ({ history: history.map(({ item, price }) => ({ item, price })) }),
);
/** Clicks on the same items with all attributes missing. */
const stripped = histories.map((history): UserRequest => {
  return { history: history.map(({ item, price }) => ({ item, price, category: null, tags: null })) };
});

test("a click on an item alone has the attributes that the item had in the training log", () =>
  withModel("model", async (model) => {
    const expected = await model.recommend(whole);
    assert.equal(await model.recommend(bare), expected);
    assert.not.equal(await model.recommend(stripped), expected);
    const without = histories.map((history) => ({ history: history.map(({ item }) => item) }));
    assert.not.equal(await model.recommend(without), expected);
    assert.equal(
      await model.recommend(without),
      await model.recommend(
        without.map(({ history }) => ({ history: history.map((item) => ({ item, price: null })) })),
      ),
    );
    const partly = histories.map((history) => ({
      history: history.map(({ item, price, category, tags }, i) =>
        i % 2 === 0 ? { item, price, category } : { item, price, tags },
      ),
    }));
    assert.equal(await model.recommend(partly), expected);
  }));

test("the reference engine answers alike", async () => {
  using reference = await openModel(at("model"), { executor: "reference" });
  await withModel("model", async (model) => {
    const calls = [
      (of: Model) => of.recommend(bare.slice(20, 24), { top: 3, explain: true }),
      (of: Model) => of.recommend(bare.slice(20, 24), { top: 3, allow: ["v1", "v2", "v3", "v4", "v5"] }),
    ];
    for (const call of calls) {
      const [ours, theirs] = [await call(model), await call(reference)];
      assert.equal(
        ours.map(({ items }) => items.map(({ item }) => item)),
        theirs.map(({ items }) => items.map(({ item }) => item)),
      );
      for (const [u, { items }] of ours.entries()) {
        for (const [i, { score }] of items.entries()) assert.ok(Math.abs(score - theirs[u]!.items[i]!.score) < 1e-5);
      }
    }
  });
});

test("new items of an extended model have the attributes of their last click", async () => {
  const click = (item: string) => `u1\t30\tv1:x:c1:t1:1::;${item}:y:c2:t4_t5:2:3:\tp1\n`;
  await writeFile(at("new.tsv"), click("w1") + click("w2"));
  await extendModelFolder(at("model"), { dataset: at("dataset"), logs: [at("new.tsv")], output: at("extended") });
  await withModel("extended", async (model) => {
    const [bare, whole] = await model.recommend([
      { history: ["v3", "w2"] },
      { history: ["v3", { item: "w2", category: "c2", tags: ["t4", "t5"] }] },
    ]);
    assert.equal(bare!.items, whole!.items);
    assert.equal(bare!.unknown, []);
    assert.equal(await model.recommend(bare40), await model.recommend(whole40));
  });
});
const [bare40, whole40] = [bare[40]!, whole[40]!];

test("models of earlier versions have no attributes of items: they are missing", async () => {
  for (const model of fixtures("model")) {
    using old = await openModel(model, { threads: 1 });
    const item = old.items.token(1);
    const [field] = old.description.schema.click.slice(1);
    const expected = await old.recommend({ history: [{ item, [field!.name]: null }] });
    assert.equal(await old.recommend({ history: [item] }), expected);
  }
});

test("attributes that do not fit the model are refused", async () => {
  for (const [i, [message, change]] of BROKEN_CATALOGUES.entries()) {
    await copyWithTensors(at("model"), at(`broken${i}`), change);
    await expectError(openModel(at(`broken${i}`)), "ERR_MODEL", message);
  }
  await copyWithTensors(at("model"), at("without"), (tensors) => {
    for (const name of [...tensors.keys()]) if (name.startsWith("catalogue.")) tensors.delete(name);
  });
  using old = await openModel(at("without"), { threads: 1 });
  assert.is(old.description.catalogue, undefined);
});

test.run();
