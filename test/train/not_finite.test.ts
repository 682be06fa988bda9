import { open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset, prepareDataset } from "../../src/data/dataset.js";
import { exists } from "../../src/data/files.js";
import { createEngine } from "../../src/executors/index.js";
import { extendModel } from "../../src/model/extend.js";
import { type Model, openModel, saveModel } from "../../src/model/model.js";
import { mineSimilar, mineUsers } from "../../src/retrieve/mine.js";
import { recommend } from "../../src/retrieve/recommend.js";
import { writeItemVectors, writeUserVectors } from "../../src/retrieve/vectors.js";
import { evaluate } from "../../src/train/evaluate.js";
import { rankingMetrics } from "../../src/train/metrics.js";
import { type TrainOptions, train } from "../../src/train/trainer.js";
import { parseSpace } from "../../src/tune/space.js";
import { tune } from "../../src/tune/tune.js";
import { temporaryFolder } from "../cli/run.js";
import { expectError } from "../data/temporary.js";
import { all } from "../small_model.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SET = ["lstmWidth=8", "userVectorWidth=8", "hiddenWidths=[8]", "batchSize=8192", "epochs=3"];
/** SGD on the sum of the samples' losses. The learning rate .001 works; 3e38 makes weights infinite at once. */
const SGD = ["optimizer=sgd", "reduction=sum"];

test.before(async () => {
  const lines = Array.from({ length: 60 }, (_, user) => {
    const clicks = Array.from({ length: 6 }, (_, c) => `i${(user * 7 + c * c + c) % 23}:c${(user + c) % 5}:t${c % 3}`);
    return `u${user}\tp${user % 3}\tc${user % 5}\t${clicks.join(";")}\tphone${user % 2}\n`;
  });
  await writeFile(at("log.tsv"), lines.join(""));
  await prepareDataset({ logs: [at("log.tsv")], output: at("dataset"), featureAppearLimit: 0 });
  await trainSmall("model");
});

function trainSmall(output: string, { set = [], ...options }: Partial<TrainOptions> = {}) {
  return train({ dataset: at("dataset"), output: at(output), threads: 1, set: [...SET, ...set], ...options });
}

/** A trained model in which the last element of a tensor is replaced by another number. */
async function broken(tensor: string, value: number): Promise<Model> {
  const model = await openModel(at("model"), { threads: 1 });
  model.store.write(tensor, Float32Array.of(value), model.store.read(tensor).length - 1);
  return model;
}

test("stores find the first element that is not finite, wherever it is", () => {
  for (const kind of ["native", "reference"] as const) {
    const store = createEngine({ executor: kind }).createStore();
    const elements = 3 * 4096 + 5;
    store.define({ name: "x", dtype: "float32", shape: [elements] });
    store.define({ name: "ids", dtype: "int32", shape: [1] });
    store.write("ids", Int32Array.of(0x7f800000));
    store.write("x", Float32Array.of(3.4028234e38, -3.4028234e38, 1e-45, -0));
    assert.is(store.firstNotFinite("x"), -1, kind);
    assert.is(store.firstNotFinite("ids"), -1, kind);
    for (const at of [elements - 1, 8192, 4095, 1, 0]) {
      store.write("x", Float32Array.of([Number.NaN, Infinity, -Infinity][at % 3]!), at);
      assert.is(store.firstNotFinite("x"), at, kind);
    }
    assert.is(store.firstNotFinite("x", 2), 4095, kind);
    assert.is(store.firstNotFinite("x", 4095, 1), 4095, kind);
    assert.is(store.firstNotFinite("x", 2, 4093), -1, kind);
    assert.is(store.firstNotFinite("x", elements), -1, kind);
  }
});

test("stores load elements from a file, and find the first that is not finite", async () => {
  const [elements, before] = [3 * 65_536 + 5, 7];
  const values = Float32Array.from({ length: elements }, (_, i) => i - 0.5);
  const path = at("tensor.bin");
  const write = (content: Float32Array) =>
    writeFile(path, Buffer.concat([Buffer.alloc(before), Buffer.from(content.buffer)]));
  for (const executor of ["native", "reference"] as const) {
    using engine = createEngine({ executor });
    using store = engine.createStore();
    store.define({ name: "x", dtype: "float32", shape: [elements] });
    store.define({ name: "ids", dtype: "int32", shape: [2] });
    await write(values);
    const file = await open(path);
    try {
      const from = (element: number) => ({ file, path, position: before + 4 * element });
      assert.is(await store.load("x", from(0), 0, elements), -1, executor);
      assert.equal(store.read("x"), values);
      assert.is(await store.load("x", from(100), 3, 2), -1);
      assert.equal([...store.read("x", 2, 4)], [1.5, 99.5, 100.5, 4.5]);
      assert.is(await store.load("ids", from(1), 1, 1), -1);
      assert.equal([...store.read("ids")], [0, new Int32Array(values.buffer)[1]]);
      for (const broken of [elements - 1, 65_536, 1]) {
        const content = values.slice();
        content[broken] = Number.NaN;
        await write(content);
        assert.is(await store.load("x", from(0), 0, elements), broken, executor);
        assert.is(await store.load("x", from(broken), broken, 1), broken, executor);
      }
      await expectError(store.load("x", from(0), 1, elements), "ERR_INPUT", `Expected at most ${elements - 1} values`);
      await expectError(store.load("y", from(0), 0, 1), "ERR_EXECUTOR", 'The store has no tensor "y"');
      const cut = `${path}: The file was cut short while it was read`;
      await expectError(store.load("x", from(elements - 1), 0, 2), "ERR_FILE", cut);
    } finally {
      await file.close();
    }
  }
});

test("weights that are not finite after an epoch end training; no model is left under the output's name", async () => {
  const cases: Partial<TrainOptions>[] = [
    {},
    { validation: { heldOut: "last-clicks" } },
    { testLog: at("log.tsv"), steps: 1 },
  ];
  for (const options of cases) {
    const work = trainSmall("diverged", { set: [...SGD, "learningRate=3e38"], ...options });
    await expectError(
      work,
      "ERR_DIVERGED",
      /^"[\w.]+" holds (NaN|-?Infinity) at element \d+ after step 1\. Lower learningRate \(now 3e\+38\)/,
    );
    assert.not.ok(await exists(at("diverged/config.json")));
  }
});

test("the step and the instruction that made the first number that is not finite are named", async () => {
  const first = "The first number that is not finite is -?(NaN|Infinity) at element";
  // The weights overflow in the update of the first step; with several steps in an epoch, the loss of the second shows it.
  for (const [batch, problem] of [
    [8192, '^"[\\w.]+" holds'],
    [64, "^The loss of step 2 is NaN"],
  ] as const) {
    const work = trainSmall("traced", { set: [...SGD, "learningRate=3e38", `batchSize=${batch}`] });
    await expectError(
      work,
      "ERR_DIVERGED",
      new RegExp(`${problem}.*${first} .*, which \\w*sgd\\w* computes in step 1 `),
    );
  }
  // A rate that is only too large: it takes some steps, and the training is repeated from a checkpoint.
  const set = [...SGD, "learningRate=100", "batchSize=16", "epochs=20"];
  const message = await expectError(
    trainSmall("later", { set, checkpointEvery: { steps: 3 } }),
    "ERR_DIVERGED",
    new RegExp(first),
  );
  const [, failed] = /^The loss of step (\d+) is|after step (\d+)/.exec(message)!.filter(Boolean);
  const [, step] = /computes in step (\d+)/.exec(message)!;
  assert.ok(Number(step) > 3 && Number(step) <= Number(failed), message);
});

test("a search records diverged trials as failed; the best trial is finite", async () => {
  const space = parseSpace({ learningRate: [3e38, 0.001] });
  const report = await tune({
    dataset: at("dataset"),
    space,
    output: at("search"),
    threads: 1,
    set: [...SET, ...SGD],
    trials: 2,
    halvings: 0,
  });
  assert.equal(report.best.settings, { learningRate: 0.001 });
  const failed = report.trials.find(({ settings }) => settings["learningRate"] === 3e38)!;
  assert.is(failed.validation, undefined);
  assert.match(failed.failed!, /^"[\w.]+" holds .* after step 1/);
  assert.match(await readFile(at("search/table.md"), "utf8"), "| failed: ");
});

test("a model whose numbers are not finite is neither evaluated nor used nor saved", async () => {
  const log = at("log.tsv");
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    for (const tensor of ["output.weight", "output.bias", "user_vector.bias"]) {
      const model = await broken(tensor, value);
      await expectError(evaluate(model, log), "ERR_DIVERGED", /^The scores of user \d+ are not finite/);
      await expectError(
        all(recommend(model, log, { top: 100, keepWatched: true })),
        "ERR_DIVERGED",
        / of user "u\d+" (is|are) not finite/,
      );
      await expectError(all(mineUsers(model, { top: 100 })), "ERR_DIVERGED", / of user "u\d+" (is|are) not finite/);
      await expectError(saveModel(model, at("saved")), "ERR_DIVERGED", `"${tensor}" holds ${value} at element `);
      if (tensor === "user_vector.bias") {
        await expectError(
          writeUserVectors(model, log, { output: at("v") }),
          "ERR_DIVERGED",
          /^The vector of "u0" is not/,
        );
      } else {
        await expectError(writeItemVectors(model, { output: at("v") }), "ERR_DIVERGED", /^The vector of "/);
      }
      if (tensor === "output.weight")
        await expectError(all(mineSimilar(model)), "ERR_DIVERGED", /^A similarity of item/);
      model.close();
    }
  }
  assert.equal(
    (await readdir(folder)).filter((name) => name === "saved" || name === "v"),
    [],
  );
});

test("finite weights whose scores overflow are found as well", async () => {
  const model = await broken("output.bias", 3.4e38);
  const width = model.description.config.userVectorWidth;
  model.store.write("user_vector.bias", new Float32Array(width).fill(100));
  model.store.write("output.weight", new Float32Array(width).fill(3e38), 5 * width);
  assert.is(model.store.firstNotFinite("output.weight"), -1);
  await expectError(evaluate(model, at("log.tsv")), "ERR_DIVERGED", "The scores of user 1 are not finite");
  model.close();
});

test("a boost that float32 cannot hold is refused", async () => {
  const model = await openModel(at("model"), { threads: 1 });
  const dataset = await openDataset(at("dataset"));
  await writeFile(at("new.tsv"), "u0\tp0\tc0\tnew:c1:t1\tphone0\n");
  for (const boost of [1e39, -1e39, Number.NaN]) {
    await expectError(extendModel(model, { dataset, logs: [at("new.tsv")], boost }), "ERR_OPTION", "float32 can hold");
  }
  const extended = await extendModel(model, { dataset, logs: [at("new.tsv")], boost: 3.4e38 });
  await saveModel(extended.model, at("boosted"));
});

test("a rank that is NaN is a miss", () => {
  const { hitRate, ndcg, mrr } = rankingMetrics([1, Number.POSITIVE_INFINITY], [1]);
  assert.equal([hitRate["1"], ndcg["1"], mrr], [0.5, 0.5, 0.5]);
});

test.run();
