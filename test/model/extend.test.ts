import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { catalogueOf, type Dataset, openDataset, prepareDataset } from "../../src/data/dataset.js";
import { parseSchema } from "../../src/data/schema.js";
import { createEngine } from "../../src/executors/index.js";
import { resolveConfig } from "../../src/model/config.js";
import { extendModel } from "../../src/model/extend.js";
import { initializeStore } from "../../src/model/initialize.js";
import { Model, openModel, saveModel } from "../../src/model/model.js";
import { inferenceProgram } from "../../src/model/programs.js";
import { evaluate } from "../../src/train/evaluate.js";
import { expectError, withFolder } from "../data/temporary.js";

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "clicks" }],
  click: [{ name: "item" }, { name: "category" }],
});

/** Eight items with ten clicks each: x1 … x4 have category x, and y1 … y4 category y. */
const KNOWN = ["x1", "x2", "x3", "x4", "y1", "y2", "y3", "y4"];

async function prepare(folder: string, name: string, lines: readonly string[], schema = SCHEMA): Promise<Dataset> {
  await writeFile(join(folder, `${name}.tsv`), `${lines.join("\n")}\n`);
  const output = join(folder, name);
  await prepareDataset({ logs: [join(folder, `${name}.tsv`)], output, schema, featureAppearLimit: 0 });
  return openDataset(output);
}

const knownDataset = (folder: string) =>
  prepare(
    folder,
    "known",
    Array.from({ length: 10 }, (_, u) => `u${u}\t${KNOWN.map((item) => `${item}:${item[0]}`).join(";")}`),
  );

/** Makes a model in which the rows of items are 1 for category x and −1 for category y, in every table and column. */
function modelOf(dataset: Dataset): Model {
  const config = resolveConfig("default", {
    userVectorWidth: 2,
    hiddenWidths: [3],
    lstmWidth: 2,
    defaultEmbeddingWidth: 2,
    embeddingWidths: { item: 2, category: 2, user_id: 2 },
  });
  const engine = createEngine({ executor: "reference" });
  const store = engine.createStore();
  const { program, initializers } = inferenceProgram(config, dataset);
  initializeStore(store, program, initializers, 1);
  const { schema, vocabularies, numbers } = dataset;
  const model = new Model({ schema, vocabularies, numbers, config, training: {} }, program, engine, store);
  for (const [name, width] of TABLES) {
    KNOWN.forEach((item) => {
      const row = new Float32Array(width).fill(item.startsWith("x") ? 1 : -1);
      store.write(name, row, model.items.idOf(item) * width);
    });
  }
  return model;
}

const TABLES = [
  ["embedding.item", 2],
  ["output.weight", 2],
  ["output.bias", 1],
] as const;

/** The row of an item in each table. */
const rowsOf = ({ items, store }: Model, item: string) =>
  TABLES.map(([name, width]) => [...store.read(name, items.idOf(item) * width, width)]);

const near = (actual: readonly number[][], expected: readonly number[][]) =>
  actual.forEach((row, t) => {
    assert.is(row.length, expected[t]!.length);
    row.forEach((value, c) => {
      assert.ok(
        Math.abs(value - expected[t]![c]!) < 1e-3,
        `${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`,
      );
    });
  });

test("by hand: four items a category with weight 10 / (10 + 10) and λ = 1 leave 2 / (2 + 1) of the category's row", async () => {
  await withFolder(async (folder) => {
    const dataset = await knownDataset(folder);
    const model = modelOf(dataset);
    const log = join(folder, "new.tsv");
    // The last click on new2 gives its category. The model does not know the category "z".
    await writeFile(log, "a\tx1:x;new1:x;new2:x\nb\tnew2:y;new3:z;NULL:x\n");
    const {
      model: extended,
      added,
      withoutAttributes,
    } = await extendModel(model, { dataset, logs: [log], boost: 0.25 });
    assert.equal([added, withoutAttributes], [3, 1]);
    near(rowsOf(extended, "new1"), [[2 / 3, 2 / 3], [2 / 3, 2 / 3], [2 / 3 + 0.25]]);
    near(rowsOf(extended, "new2"), [[-2 / 3, -2 / 3], [-2 / 3, -2 / 3], [-2 / 3 + 0.25]]);
    near(rowsOf(extended, "new3"), [[0, 0], [0, 0], [0.25]]);
    for (const item of KNOWN) assert.equal(rowsOf(extended, item), rowsOf(model, item));
    assert.equal(extended.items.tokens, [...model.items.tokens, "new1", "new2", "new3"]);
    assert.equal([...extended.items.counts], [...model.items.counts, 0, 0, 0]);
    assert.equal(extended.description.training, { extendedItems: 3 });
    assert.is(model.items.size, KNOWN.length + 1);
  });
});

test("the time of a click is not an attribute", async () => {
  await withFolder(async (folder) => {
    const click = [{ name: "item" }, { name: "time", kind: "time" }, { name: "category" }];
    const schema = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click });
    const clicks = KNOWN.map((item, i) => `${item}:${i}:${item[0]}`).join(";");
    const dataset = await prepare(
      folder,
      "timed",
      Array.from({ length: 10 }, (_, u) => `u${u}\t${clicks}`),
      schema,
    );
    const log = join(folder, "new.tsv");
    await writeFile(log, "a\tx1:7:x;new1:9:y\n");
    const { model } = await extendModel(modelOf(dataset), { dataset, logs: [log], boost: 0 });
    near(rowsOf(model, "new1"), [[-2 / 3, -2 / 3], [-2 / 3, -2 / 3], [-2 / 3]]);
  });
});

test("an extended model is saved, opened, evaluated beside its dataset's baselines and extended again", async () => {
  await withFolder(async (folder) => {
    const dataset = await knownDataset(folder);
    const log = join(folder, "new.tsv");
    await writeFile(log, "u1\tx1:x;new1:x\n");
    const first = await extendModel(modelOf(dataset), { dataset, logs: [log] });
    await saveModel(first.model, join(folder, "model"));
    const model = await openModel(join(folder, "model"), { executor: "reference" });
    near(rowsOf(model, "new1"), [[2 / 3, 2 / 3], [2 / 3, 2 / 3], [2 / 3 + 1]]);
    const evaluation = await evaluate(model, log, { tops: [9], baselines: dataset });
    assert.equal([evaluation.users, evaluation.hitRate["9"], evaluation.transitions!.hitRate["9"]], [1, 1, 1]);

    const again = join(folder, "again.tsv");
    await writeFile(again, "u1\tnew1:x;new2:y\n");
    const second = await extendModel(model, { dataset, logs: [again] });
    assert.is(second.added, 1);
    assert.equal(rowsOf(second.model, "new1"), rowsOf(model, "new1"));
    near(rowsOf(second.model, "new2"), [[-2 / 3, -2 / 3], [-2 / 3, -2 / 3], [-2 / 3 + 1]]);
    assert.equal(second.model.description.training, { extendedItems: 2 });
    assert.is((await extendModel(second.model, { dataset, logs: [again, log] })).added, 0);
  });
});

test("a model that was saved has the attributes of its items, and is extended without its dataset", async () => {
  await withFolder(async (folder) => {
    const dataset = await knownDataset(folder);
    const log = join(folder, "new.tsv");
    await writeFile(log, "u1\tx1:x;new1:x\n");
    const bare = modelOf(dataset);
    await expectError(extendModel(bare, { logs: [log] }), "ERR_DATASET", "give it with --dataset");
    const { description, program, engine, store } = bare;
    const catalogue = catalogueOf(dataset);
    const model = new Model({ ...description, catalogue }, program, engine, store);
    const { model: extended } = await extendModel(model, { logs: [log] });
    await saveModel(extended, join(folder, "model"));
    const opened = await openModel(join(folder, "model"), { executor: "reference" });
    near(rowsOf(opened, "new1"), [[2 / 3, 2 / 3], [2 / 3, 2 / 3], [2 / 3 + 1]]);
    const [categories] = opened.description.catalogue!;
    const category = opened.description.vocabularies.get("category")!;
    const textOf = (item: string) => category.token(categories!.ids[opened.items.idOf(item)]!);
    assert.equal(["x1", "y4", "new1"].map(textOf), ["x", "y", "x"]);
    assert.is(categories!.ids[0], 0);
    // An item that was added has no clicks, from which others could learn.
    await writeFile(log, "u1\tnew1:x;new2:y\n");
    near(rowsOf((await extendModel(opened, { logs: [log] })).model, "new2"), [
      [-2 / 3, -2 / 3],
      [-2 / 3, -2 / 3],
      [-2 / 3 + 1],
    ]);
  });
});

test("a dataset other than the model's and a boost that is not a number are refused", async () => {
  await withFolder(async (folder) => {
    const dataset = await knownDataset(folder);
    const model = modelOf(dataset);
    const logs = [join(folder, "known.tsv")];
    const items = await prepare(folder, "items", ["u\tx1:x;y1:y"]);
    await expectError(
      extendModel(model, { dataset: items, logs }),
      "ERR_DATASET",
      /items: Expected the model's vocabulary of "item" \(8 values\) but received another one\. Give the dataset/,
    );
    const categories = await prepare(
      folder,
      "categories",
      Array.from({ length: 10 }, () => `u\t${KNOWN.map((item) => `${item}:z`).join(";")}`),
    );
    await expectError(extendModel(model, { dataset: categories, logs }), "ERR_DATASET", /vocabulary of "category"/);
    await expectError(extendModel(model, { dataset, logs, boost: Number.NaN }), "ERR_OPTION", "boost");
  });
});

test.run();
