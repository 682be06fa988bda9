import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Clicks } from "../../src/data/clicks.js";
import { openDataset, prepareDataset } from "../../src/data/dataset.js";
import { readSafetensors } from "../../src/data/safetensors.js";
import { simulate } from "../../src/data/simulate.js";
import type { Vocabulary } from "../../src/data/vocabulary.js";
import { extendModelFolder } from "../../src/model/extend.js";
import { openModel } from "../../src/model/model.js";
import { evaluate } from "../../src/train/evaluate.js";
import { TrainingSession } from "../../src/train/session.js";
import { type TrainOptions, train } from "../../src/train/trainer.js";
import { type UpdateOptions, update } from "../../src/train/update.js";
import { temporaryFolder } from "../cli/run.js";
import { expectError } from "../data/temporary.js";
import { FIXTURES, fixtures } from "../fixtures/fixtures.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SMALL = ["hiddenWidths=[16]", "userVectorWidth=8", "draws=32", "batchSize=64", "lstmWidth=8"];
/** The learning rate does not change, so that two trainings of an epoch are one of two. */
const CONSTANT = ["warmupSteps=0", "finalLearningRate=1"];

const NETWORKS: Readonly<Record<string, Partial<TrainOptions>>> = {
  "default: tied, composed item vectors": { set: [...SMALL, ...CONSTANT] },
  "composed of rows and attributes of their own": {
    set: [...SMALL, ...CONSTANT, "tiedItems=false", "itemAttributes=true", "loss=sampled_softmax", "optimizer=adagrad"],
  },
  "paddle: lazy decay": { preset: "paddle", set: ["batchSize=64", "lstmWidth=8", "hiddenWidths=[16]", ...CONSTANT] },
  "row-wise AdaGrad": { set: [...SMALL, ...CONSTANT, "optimizer=rowwise_adagrad", "batching=shuffled"] },
};

/** The lines of a log whose clicks are those from `from` to before `to`, of the users that have some. */
function sliceOf(log: string, from: number, to: number): string {
  return log
    .trimEnd()
    .split("\n")
    .flatMap((line) => {
      const columns = line.split("\t");
      const clicks = columns[3]!.split(";").slice(from, to);
      return clicks.length === 0 ? [] : [`${columns.with(3, clicks.join(";")).join("\t")}\n`];
    })
    .join("");
}

test.before(async () => {
  await simulate({ output: folder, users: 120, items: 60, meanClicks: 12 });
  const log = await readFile(at("train.tsv"), "utf8");
  const lines = log.split("\n");
  // A third of the users come on the second day.
  const early = `${lines.slice(0, 80).join("\n")}\n`;
  await writeFile(at("day1.tsv"), sliceOf(early, 0, 5));
  await writeFile(at("day2.tsv"), sliceOf(log, 5, 9) + sliceOf(lines.slice(80).join("\n"), 0, 5));
  await prepareDataset({ logs: [at("day1.tsv")], output: at("data1"), featureAppearLimit: 0 });
  await prepareDataset({ logs: [at("day2.tsv")], output: at("data2"), from: at("data1") });
});

const trainDay1 = (output: string, options: Partial<TrainOptions> = {}) =>
  train({ dataset: at("data1"), output: at(output), set: SMALL, threads: 1, ...options });

async function filesOf(model: string, ...names: string[]): Promise<string[]> {
  return Promise.all(names.map((name) => readFile(join(at(model), name), "base64")));
}

for (const [name, { set, ...options }] of Object.entries(NETWORKS)) {
  test(`without new values, an update goes on with the training, bit for bit: ${name}`, async () => {
    const whole = { ...options, keepState: true, threads: 2 };
    await trainDay1("two", { ...whole, set: [...set!, "epochs=2"] });
    await trainDay1("one", { ...whole, set: [...set!, "epochs=1"] });
    const config = JSON.parse(await readFile(at("one/config.json"), "utf8")).config;
    const rate = `learningRate=${config.learningRate}`;
    await train({ dataset: at("data1"), output: at("again"), from: at("one"), set: ["epochs=1", rate], threads: 1 });
    const [weights, state] = await filesOf("again", "model.safetensors", "state.safetensors");
    // The id of the folder covers the number of epochs, so the tensors are compared.
    for (const member of ["model", "state"]) {
      const [again, two] = await Promise.all(
        ["again", "two"].map((model) => readSafetensors(at(`${model}/${member}.safetensors`), "ERR_MODEL")),
      );
      assert.equal([...again!.tensors.keys()], [...two!.tensors.keys()]);
      for (const [tensor, { data }] of two!.tensors) assert.equal(again!.tensors.get(tensor)!.data, data, tensor);
      const { id: _, ...metadata } = again!.metadata;
      const { id: __, ...expected } = two!.metadata;
      assert.equal(metadata, expected);
    }
    assert.ok(weights!.length > 0 && state!.length > 0);
    const { training } = JSON.parse(await readFile(at("again/config.json"), "utf8"));
    assert.is(training.updates, 1);
    assert.is(training.preset, options.preset ?? "default");
  });
}

/** Number of targets if at most `replay` earlier clicks of a user are taken for each new one. */
function countTargets({ users, clickOffsets }: Clicks, knownClicks: Int32Array, replay: number): number {
  let count = 0;
  for (let user = 0; user < users; user++) {
    const known = knownClicks[user]!;
    const added = clickOffsets[user + 1]! - clickOffsets[user]! - known;
    count += added + Math.min(known, Math.floor(replay * added + 0.5));
  }
  return count;
}

test("an update trains on the new clicks, and on some of the same users' clicks before them", async () => {
  await trainDay1("model");
  const { clicks, knownClicks } = await openDataset(at("data2"));
  const targetsOf = (replay: number) => countTargets(clicks, knownClicks!, replay);
  const samplesOf = async (options: Pick<TrainOptions, "replay">) => {
    const session = await TrainingSession.open({ dataset: at("data2"), from: at("model"), threads: 1, ...options });
    const { samples } = await session.run();
    session.close();
    return samples;
  };
  assert.is(await samplesOf({ replay: 0 }), targetsOf(0));
  assert.is(await samplesOf({ replay: 0.5 }), targetsOf(0.5));
  assert.is(await samplesOf({}), targetsOf(1.5));
  assert.is(await samplesOf({ replay: 1e6 }), targetsOf(1e6));
  assert.ok(targetsOf(0) < targetsOf(0.5) && targetsOf(0.5) < targetsOf(1.5) && targetsOf(1.5) < targetsOf(1e6));
  assert.ok(targetsOf(1e6) < clicks.clicks, "users without a new click are not trained on");
});

test("old values keep their rows, new items begin with the rows that extend predicts, other new values with initial ones", async () => {
  await trainDay1("model", { keepState: true });
  const session = await TrainingSession.open({ dataset: at("data2"), from: at("model"), seed: 5, threads: 1 });
  const other = await TrainingSession.open({ dataset: at("data2"), set: SMALL, seed: 5, threads: 1 });
  const model = await openModel(at("model"), { threads: 1 });
  try {
    const { vocabularies } = await openDataset(at("data2"));
    const [started, initial] = [session, other].map((of) => new Map(of.state().tensors.map((t) => [t.name, t.read()])));
    const { tensors } = await readSafetensors(at("model/state.safetensors"), "ERR_MODEL");
    let grown = 0;
    for (const { name, shape } of session.state().tensors) {
      const known = model.store.tensors.some((tensor) => tensor.name === name)
        ? model.store.read(name)
        : tensors.get(name)?.data;
      if (!known) continue; // constants
      const values = started!.get(name)!;
      assert.equal(values.slice(0, known.length), known, name);
      if (values.length === known.length) continue;
      grown++;
      const isItem = name === "embedding.item" || name === "output.bias";
      const added = values.slice(known.length);
      if (tensors.has(name))
        assert.ok(
          added.every((value) => value === 0),
          name,
        );
      else if (!isItem) assert.equal(added, initial!.get(name)!.slice(known.length), name);
      else {
        const width = values.length / (shape[0] as number);
        assert.is(added.length / width, vocabularies.get("item")!.size - model.items.size);
        assert.ok(added.some((value) => value !== 0));
        assert.not.equal(added, initial!.get(name)!.slice(known.length), name);
      }
    }
    assert.ok(grown > 6, "rows of users, items and their optimizer state are new");
  } finally {
    for (const open of [session, other, model]) open.close();
  }
});

test("an update goes through its targets in two epochs, and gives the same bytes on any number of threads", async () => {
  await trainDay1("model", { keepState: true });
  const common = { model: at("model"), dataset: at("data1"), logs: [at("day2.tsv")] };
  const options: UpdateOptions = { ...common, output: at("u1"), outputDataset: at("d1"), threads: 1 };
  const { samples, dataset } = await update(options);
  const { clicks, knownClicks, id } = await openDataset(at("d1"));
  assert.is(clicks.clicks - knownClicks!.reduce((sum, count) => sum + count), dataset.growth!.clicks);
  assert.is(samples, 2 * countTargets(clicks, knownClicks!, 1.5));
  await update({ ...options, output: at("u2"), outputDataset: at("d2"), threads: 2 });
  const members = ["config.json", "model.safetensors", "state.safetensors", "vocabulary/item.tsv"];
  assert.equal(await filesOf("u1", ...members), await filesOf("u2", ...members));
  await train({ dataset: at("data2"), from: at("model"), output: at("u3"), threads: 1 });
  assert.equal(await filesOf("u1", ...members), await filesOf("u3", ...members), "two commands do the same");
  const model = await openModel(at("u1"), { threads: 1 });
  assert.is(model.description.training.dataset, id);
  model.close();
  const again = await readFile(at("day2.tsv"), "utf8");
  await writeFile(at("day3.tsv"), sliceOf(again, 0, 2));
  const third = { ...common, model: at("u1"), dataset: at("d1"), logs: [at("day3.tsv")] };
  await update({
    ...third,
    output: at("u4"),
    outputDataset: at("d4"),
    threads: 1,
    keepState: false,
    config: { epochs: 2 },
  });
  const last = await openModel(at("u4"), { threads: 1 });
  assert.is(last.description.training.updates, 2);
  assert.is(last.description.config.learningRate, 0.002, "half of the first one, in each update");
  last.close();
  await expectError(
    readFile(at("u4/state.safetensors")).catch(() =>
      update({ ...third, outputDataset: at("d1"), output: at("u5") }),
    ) as Promise<unknown>,
    "ERR_OPTION",
    /another folder/,
  );
});

test("after an eviction, the values that stay keep their rows, and the others are gone", async () => {
  await trainDay1("model", { keepState: true });
  const lines = (await readFile(at("day2.tsv"), "utf8")).trimEnd().split("\n");
  await writeFile(at("few.tsv"), `${lines.slice(5, 15).join("\n")}\n`);
  const outputs = { output: at("evicted"), outputDataset: at("few"), evictAfter: 1, threads: 1 };
  const { dataset } = await update({ model: at("model"), dataset: at("data1"), logs: [at("few.tsv")], ...outputs });
  assert.ok(dataset.growth!.evicted.items > 5 && dataset.growth!.evicted.users > 50, JSON.stringify(dataset.growth));
  const session = await TrainingSession.open({ dataset: at("few"), from: at("model"), threads: 1 });
  const [before, after] = [
    await openModel(at("model"), { threads: 1 }),
    await openModel(at("evicted"), { threads: 1 }),
  ];
  try {
    const tensors = new Map(session.state().tensors.map((tensor) => [tensor.name, tensor]));
    const { tensors: state } = await readSafetensors(at("model/state.safetensors"), "ERR_MODEL");
    for (const feature of ["item", "user_id"]) {
      const [old, left] = [before, after].map((model) => model.description.vocabularies.get(feature)!) as [
        Vocabulary,
        Vocabulary,
      ];
      assert.ok(left.size < old.size, feature);
      for (const name of [`embedding.${feature}`, `embedding.${feature}.first_moment`]) {
        const known = state.get(name)?.data ?? before.store.read(name);
        const [values, width] = [tensors.get(name)!.read(), known.length / old.size];
        const rowOf = (of: ArrayLike<number>, id: number) =>
          Array.from({ length: width }, (_, i) => of[id * width + i]);
        for (let id = 1; id < left.size; id++) {
          const was = old.idOf(left.token(id));
          if (was > 0) assert.equal(rowOf(values, id), rowOf(known, was), `${name}, ${left.token(id)}`);
        }
      }
    }
    await train({ dataset: at("few"), from: at("evicted"), output: at("again"), threads: 1 });
    await prepareDataset({ logs: [at("train.tsv")], output: at("foreign"), featureAppearLimit: 0 });
    await prepareDataset({ logs: [at("few.tsv")], from: at("foreign"), output: at("shrunk"), evictAfter: 1 });
    const wrong = train({ dataset: at("shrunk"), from: at("model"), output: at("again"), threads: 1 });
    await expectError(wrong, "ERR_DATASET", /begin with the \d+ values/);
    // Items and users of the first day that were dropped come back in a second growth, in the order of that one.
    const day1 = (await readFile(at("day1.tsv"), "utf8")).trimEnd().split("\n");
    await writeFile(at("back.tsv"), `${day1.reverse().join("\n")}\n`);
    await prepareDataset({ logs: [at("back.tsv")], from: at("few"), output: at("back"), evictAfter: 9 });
    const late = train({ dataset: at("back"), from: at("model"), output: at("again"), threads: 1 });
    await expectError(late, "ERR_DATASET", /grew once from that of .* dropped and came back .* each growth in turn/);
    await train({ dataset: at("back"), from: at("evicted"), output: at("again"), threads: 1 });
  } finally {
    for (const open of [session, before, after]) open.close();
  }
});

test("models without the optimizer's state, and item vectors without their parts, go on from their weights", async () => {
  const set = [...SMALL, "tiedItems=false", "itemAttributes=true", "loss=sampled_softmax"];
  await trainDay1("model", { set });
  const session = await TrainingSession.open({ dataset: at("data1"), from: at("model"), threads: 1 });
  const model = await openModel(at("model"), { threads: 1 });
  try {
    await session.save(at("same"));
    const same = await openModel(at("same"), { threads: 1 });
    for (const { name } of model.store.tensors) assert.equal(same.store.read(name), model.store.read(name), name);
    same.close();
    assert.is(session.position.step, 0);
  } finally {
    session.close();
    model.close();
  }
});

test("the best epoch's model is kept with its own state", async () => {
  const validation = { log: at("test.tsv") };
  await trainDay1("nine", {
    keepState: true,
    validation,
    set: [...SMALL, "epochs=9", "learningRate=0.03"],
    patience: 0,
  });
  const config = JSON.parse(await readFile(at("nine/config.json"), "utf8"));
  const best = config.training.epochs;
  assert.ok(best < 9, "a high learning rate overfits");
  const state = async (name: string) => readSafetensors(at(`${name}/state.safetensors`), "ERR_MODEL");
  const [kept, ofEpoch] = [await state("nine"), await state(`nine/epoch-${best}`)];
  assert.equal(kept, ofEpoch);
  assert.is(kept.metadata["epoch"], String(best));
});

test("wrong datasets, settings and states are refused, and what is lost is warned of", async () => {
  await trainDay1("model", { keepState: true });
  await prepareDataset({ logs: [at("train.tsv")], output: at("foreign"), featureAppearLimit: 0 });
  const go = (options: Partial<TrainOptions>) =>
    train({ dataset: at("data2"), from: at("model"), output: at("new"), threads: 1, ...options });
  await expectError(
    go({ dataset: at("foreign") }),
    "ERR_DATASET",
    /begin with the \d+ values of .* prepare NEW_EVENTS/,
  );
  await expectError(go({ set: ["lstmWidth=16"] }), "ERR_CONFIG", /"lstm\..* Leave the setting out/);
  await expectError(go({ preset: "default" }), "ERR_OPTION", /no preset beside from/);
  await expectError(go({ replay: -1 }), "ERR_OPTION", /Expected replay to be a number from 0 but received -1/);
  await expectError(go({ from: undefined, replay: 1 }), "ERR_OPTION", /Expected from, .* beside replay/);
  await expectError(go({ validation: { heldOut: "last-clicks" } }), "ERR_OPTION", /a log for validation/);
  await expectError(go({ from: at("data1") }), "ERR_MODEL", /Train a model first/);
  const warnings: string[] = [];
  await update({
    ...{ model: at("model"), dataset: at("data2"), logs: [at("day2.tsv")], output: at("new"), outputDataset: at("d5") },
    ...{ threads: 1, onWarning: (message) => warnings.push(message) },
  });
  assert.ok(
    warnings.some((warning) => /grew from another dataset/.test(warning)),
    warnings.join("\n"),
  );
  const log = "u\t\t\tbrand-new:c1:t1\t\n";
  await writeFile(at("new.tsv"), log);
  await extendModelFolder(at("model"), { logs: [at("new.tsv")], output: at("extended") });
  warnings.length = 0;
  await go({ from: at("extended"), onWarning: (message) => warnings.push(message) });
  assert.ok(
    warnings.some((warning) => /1 items by which .* was extended/.test(warning)),
    warnings.join("\n"),
  );
  const bytes = await readFile(at("model/state.safetensors"));
  await rm(at("model/state.safetensors"));
  await go({});
  await writeFile(at("model/state.safetensors"), bytes.subarray(0, 100));
  await expectError(go({}), "ERR_MODEL", /state.safetensors/);
});

test("resuming a finished update removes what was left of a report that a kill cut off", async () => {
  await trainDay1("begun", { keepState: true });
  const again = () =>
    update({
      ...{ model: at("begun"), dataset: at("data1"), logs: [at("day2.tsv")], threads: 1, resume: true },
      ...{ output: at("finished"), outputDataset: at("d6") },
    });
  await again();
  const leftover = at("finished/.report.html.partial-4194304-0123abcd");
  await writeFile(leftover, "<!doctype");
  await expectError(again(), "ERR_CHECKPOINT", /holds a finished model/);
  assert.not.ok(existsSync(leftover));
});

for (const folder of fixtures("model")) {
  test(`a model of an earlier version can be updated, with its dataset: ${folder.slice(FIXTURES.length)}`, async () => {
    const dataset = folder.replace("model-", "dataset-");
    const log = [
      "u0\t21\ti5:c9:1600172800:t0;brand-new:c1:1600172900:t1\tx",
      "new-user\t\tbrand-new:c1:1600172800:t1\tx",
    ];
    await writeFile(at("fixture.tsv"), `${log.join("\n")}\n`);
    const outputs = { output: at("updated"), outputDataset: at("grown") };
    await update({ model: folder, dataset, logs: [at("fixture.tsv")], ...outputs, keepState: true, threads: 1 });
    const [before, after] = [await openModel(folder, { threads: 1 }), await openModel(at("updated"), { threads: 1 })];
    assert.is(after.items.token(before.items.size), "brand-new");
    assert.equal(after.items.tokens.slice(0, before.items.size), before.items.tokens);
    assert.is(after.description.training.updates, 1);
    const { users } = await evaluate(after, join(FIXTURES, "log.tsv"), { tops: [10] });
    assert.ok(users > 10);
    for (const open of [before, after]) open.close();
  });
}

test.run();
