import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createTrainingBatches, type TrainingBatchOptions } from "../../src/data/batches.js";
import { type Clicks, holdOutLastClicks } from "../../src/data/clicks.js";
import { openDataset, prepareDataset } from "../../src/data/dataset.js";
import { encodeLog } from "../../src/data/encode_log.js";
import { readSafetensors, writeSafetensors } from "../../src/data/safetensors.js";
import { simulate } from "../../src/data/simulate.js";
import { createNativeEngine } from "../../src/executors/index.js";
import { openModel } from "../../src/model/model.js";
import { evaluate } from "../../src/train/evaluate.js";
import { type EpochResult, type TrainOptions, train } from "../../src/train/trainer.js";
import { temporaryFolder } from "../cli/run.js";
import { LENGTHS, randomClicks } from "../data/random_clicks.js";
import { expectError, withoutIds } from "../data/temporary.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SMALL = ["hiddenWidths=[16]", "userVectorWidth=8", "draws=32", "batchSize=64", "lstmWidth=8"];

test.before(async () => {
  await simulate({ output: folder, users: 150, items: 60, meanClicks: 8 });
  await prepareDataset({ logs: [at("test.tsv")], output: at("dataset"), featureAppearLimit: 0 });
});

/** Trains a small network into the folder `name`. */
function trainSmall(name: string, { set = [], ...options }: Partial<TrainOptions> = {}) {
  return train({ dataset: at("dataset"), output: at(name), set: [...SMALL, "epochs=2", ...set], ...options });
}

/** The bytes of a model's tensors, without the header, because the id in it also depends on the vocabularies. */
const weights = async (name: string) => {
  const bytes = await readFile(at(`${name}/model.safetensors`));
  return bytes.subarray(8 + Number(bytes.readBigUInt64LE()));
};

async function metrics(name: string) {
  const text = await readFile(at(`${name}/metrics.jsonl`), "utf8");
  assert.ok(text.endsWith("\n"));
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** The same clicks without the last one of each user, except for users with a single click. */
function cutOff(clicks: Clicks): Clicks {
  const kept: number[] = [];
  const clickOffsets = [0];
  for (let u = 0; u < clicks.users; u++) {
    const [start, end] = [clicks.clickOffsets[u]!, clicks.clickOffsets[u + 1]!];
    for (let c = start; c < Math.max(start + 1, end - 1); c++) kept.push(c);
    clickOffsets.push(kept.length);
  }
  const itemFeatures = clicks.itemFeatures.map(({ name, ids, offsets }) => {
    if (!offsets) return { name, ids: Int32Array.from(kept, (c) => ids[c]!), offsets };
    const values = kept.map((c) => [...ids.subarray(offsets[c], offsets[c + 1])]);
    const ends = values.map((_, i) => values.slice(0, i + 1).flat().length);
    return { name, ids: Int32Array.from(values.flat()), offsets: Int32Array.from([0, ...ends]) };
  });
  return { ...clicks, clicks: kept.length, clickOffsets: Int32Array.from(clickOffsets), itemFeatures };
}

test("batches without held-out clicks are those of the log cut off, in both engines", () => {
  const clicks = randomClicks([...LENGTHS, 60, 70], 0.1);
  const before = clicks.itemFeatures[0]!.ids.slice();
  const [heldOut, cut] = [holdOutLastClicks(clicks), cutOff(clicks)];
  for (const windows of ["sliding", "growing"] as const) {
    for (const batching of ["shuffled", "shared"] as const) {
      const options: Omit<TrainingBatchOptions, "clicks"> = { window: 5, windows, batching, batchSize: 16, seed: 3 };
      const expected = createTrainingBatches({ ...options, clicks: cut });
      for (const found of [
        createTrainingBatches({ ...options, clicks: heldOut }),
        createNativeEngine().createTrainingBatches({ ...options, clicks: heldOut }),
      ]) {
        assert.is(found.samplesPerEpoch, expected.samplesPerEpoch);
        for (let epoch = 0; epoch < 2; epoch++) {
          for (let b = 0; b < expected.batchesPerEpoch; b++) {
            assert.equal(
              { ...found.batch(epoch, b) },
              expected.batch(epoch, b),
              `${windows} ${batching} ${epoch} ${b}`,
            );
          }
        }
      }
    }
  }
  assert.equal(clicks.itemFeatures[0]!.ids, before);
});

test("--validation last trains as on the log cut off, bit for bit, and evaluates as on the whole log", async () => {
  await cp(at("dataset"), at("cut"), { recursive: true });
  await withoutIds(at("cut/dataset.json"));
  const { clicks } = await encodeLog([at("train.tsv")], await openDataset(at("dataset")));
  const { tensors } = await readSafetensors(at("cut/clicks.safetensors"));
  const arrays = new Map<string, Int32Array>([["click_offsets", clicks.clickOffsets]]);
  for (const { name, ids, offsets } of clicks.itemFeatures) {
    arrays.set(name, ids);
    if (offsets) arrays.set(`${name}_offsets`, offsets);
  }
  const written = [...tensors].map(([name, { dtype, data }]) => {
    const array = arrays.get(name) ?? data;
    return { name, dtype, shape: [array.length], data: array };
  });
  await writeSafetensors(at("cut/clicks.safetensors"), written);
  const description = JSON.parse(await readFile(at("cut/dataset.json"), "utf8"));
  await writeFile(at("cut/dataset.json"), JSON.stringify({ ...description, clicks: clicks.clicks }));

  const report = await trainSmall("held-out", { validation: { heldOut: "last-clicks" }, patience: 0 });
  await trainSmall("on-cut", { dataset: at("cut") });
  for (const epoch of [1, 2]) {
    assert.ok(
      (await weights(`held-out/epoch-${epoch}`)).equals(await weights(`on-cut/epoch-${epoch}`)),
      `epoch ${epoch}`,
    );
  }
  await trainSmall("on-whole");
  assert.not.ok((await weights("held-out/epoch-1")).equals(await weights("on-whole/epoch-1")));

  const { epoch, protocol, ...validation } = report.validation!;
  assert.is(protocol.minClicks, 2);
  assert.ok((await weights("held-out")).equals(await weights(`held-out/epoch-${epoch}`)));
  const model = await openModel(at("held-out"));
  const { protocol: ofLog, ...onLog } = await evaluate(model, at("test.tsv"));
  assert.is(ofLog.minClicks, 1);
  assert.equal(onLog, validation);
  assert.equal(model.description.training["validation"], {
    hitRate: validation.hitRate,
    ndcg: validation.ndcg,
    mrr: validation.mrr,
  });
});

test("users of one click are learnt from, and not evaluated", async () => {
  const lines = ["u1\tp\tc\ta:x:t\tm", "u2\tp\tc\ta:x:t;b:x:t\tm", "u3\tp\tc\tb:x:t;a:x:t;b:x:t\tm"];
  await writeFile(at("few.tsv"), `${lines.join("\n")}\n`);
  await prepareDataset({ logs: [at("few.tsv")], output: at("few"), featureAppearLimit: 0 });
  const report = await trainSmall("few-model", { dataset: at("few"), validation: { heldOut: "last-clicks" } });
  assert.is(report.validation!.users, 2);
  assert.is(report.samples / report.epochs, 1 + 1 + 2);

  await writeFile(at("single.tsv"), `${lines[0]}\n`);
  await prepareDataset({ logs: [at("single.tsv")], output: at("single"), featureAppearLimit: 0 });
  const single = trainSmall("none", { dataset: at("single"), validation: { heldOut: "last-clicks" } });
  await expectError(single, "ERR_DATASET", "nothing to hold out");
});

test("the validation log is not trained on", async () => {
  await trainSmall("plain", { set: ["epochs=3"] });
  const report = await trainSmall("by-log", { set: ["epochs=3"], validation: { log: at("test.tsv") }, patience: 0 });
  assert.is(report.epochs, 3);
  for (const epoch of [1, 2, 3]) {
    assert.ok((await weights(`by-log/epoch-${epoch}`)).equals(await weights(`plain/epoch-${epoch}`)));
  }
  assert.is(report.validation!.users, 150);
});

test("training stops when patience is over; the best epoch is kept, and metrics.jsonl tells of all", async () => {
  const seen: EpochResult[] = [];
  const EPOCHS = 40;
  const report = await trainSmall("stopped", {
    set: [`epochs=${EPOCHS}`, "learningRate=0.03", "finalLearningRate=0", "warmupSteps=0"],
    validation: { heldOut: "last-clicks" },
    patience: 3,
    onEpoch: (result) => seen.push(result),
  });
  const best = report.validation!.epoch;
  assert.is(report.epochs, best + 3);
  assert.ok(report.epochs < EPOCHS);
  assert.ok((await weights("stopped")).equals(await weights(`stopped/epoch-${best}`)));
  assert.not.ok((await weights("stopped")).equals(await weights(`stopped/epoch-${report.epochs}`)));
  const folders = (await readdir(at("stopped"))).filter((name) => name.startsWith("epoch-"));
  assert.is(folders.length, report.epochs);

  const lines = await metrics("stopped");
  assert.equal(
    lines.map(({ epoch }) => epoch),
    Array.from({ length: report.epochs }, (_, i) => i + 1),
  );
  const ndcg = lines.map((line) => line.ndcg["10"]);
  assert.is(ndcg.indexOf(Math.max(...ndcg)) + 1, best);
  assert.is(ndcg[best - 1], report.validation!.ndcg["10"]);
  for (const [i, line] of lines.entries()) {
    const { validation, best: isBest, part, ...epoch } = seen[i]!;
    const { hitRate, ndcg: gain, mrr } = validation!;
    assert.equal(line, { ...epoch, hitRate, ndcg: gain, mrr });
    assert.is(part, 1);
    assert.is(
      isBest,
      ndcg.slice(0, i).every((earlier) => earlier < ndcg[i]),
    );
    const steps = report.steps / report.epochs;
    assert.is(line.step, steps * (i + 1));
    assert.is(line.samples, (report.samples / report.epochs) * (i + 1));
    const progress = (line.step - 1) / (steps * EPOCHS);
    assert.ok(Math.abs(line.learningRate - 0.015 * (1 + Math.cos(Math.PI * progress))) < 1e-9, "schedule");
    assert.ok(line.seconds > 0 && line.samplesPerSecond > 0 && line.evaluationSeconds > 0 && line.loss > 0);
  }
});

test("without validation: the last epoch is kept, and metrics.jsonl has no ranking", async () => {
  const report = await trainSmall("without-validation", { steps: 25, set: ["epochs=3"] });
  assert.is(report.validation, undefined);
  const lines = await metrics("without-validation");
  assert.is(lines.length, report.epochs);
  assert.is(lines.at(-1).step, 25);
  assert.equal(Object.keys(lines[0]).sort(), [
    ...["epoch", "learningRate", "loss", "samples", "samplesPerSecond", "seconds", "step"],
  ]);
});

test("an epoch that --steps cuts short is evaluated too, and can be the one that is kept", async () => {
  const whole = await trainSmall("two", { validation: { heldOut: "last-clicks" } });
  const steps = whole.steps / 2 + 3;
  const report = await trainSmall("part", { validation: { heldOut: "last-clicks" }, steps });
  assert.is(report.epochs, 2);
  assert.is((await metrics("part")).at(-1).step, steps);
  const { epoch, protocol: _, ...validation } = report.validation!;
  const { protocol: __, ...onLog } = await evaluate(await openModel(at("part")), at("test.tsv"));
  assert.equal(onLog, validation);
  assert.ok(epoch === 1 || epoch === 2);
  assert.not.ok((await readdir(at("part"))).includes("epoch-2"));
});

test("an interrupted training leaves whole lines, and can be run again", async () => {
  const interrupted = trainSmall("interrupted", {
    set: ["epochs=3"],
    onEpoch: ({ epoch }) => {
      if (epoch === 2) throw new Error("interrupted");
    },
  });
  let message = "";
  await interrupted.catch((error) => {
    message = error.message;
  });
  assert.is(message, "interrupted");
  assert.is((await metrics("interrupted/unfinished")).length, 2);
  await trainSmall("interrupted", { set: ["epochs=1"], restart: true });
  assert.is((await metrics("interrupted")).length, 1);
  const members = (await readdir(at("interrupted"))).sort();
  const model = ["config.json", "model.safetensors", "program.json", "vocabulary"];
  assert.equal(members, [...model, "epoch-1", "history.json", "metrics.jsonl"].sort());
});

test("impossible options are refused", async () => {
  const none = (options: Partial<TrainOptions>) => trainSmall("none", options);
  await expectError(none({ patience: 2 }), "ERR_OPTION", "patience");
  await expectError(none({ patience: -1, validation: { heldOut: "last-clicks" } }), "ERR_OPTION", "-1");
  await expectError(none({ patience: 1.5, validation: { heldOut: "last-clicks" } }), "ERR_OPTION", "1.5");
  await expectError(none({ validation: { log: at("missing.tsv") } }), "ERR_FILE", "missing.tsv: it does not exist");
  for (const validation of ["last", {}, { heldOut: "last" }, { heldOut: "last-clicks", log: at("test.tsv") }, []]) {
    const expected = 'Expected validation to be { heldOut: "last-clicks" } or { log: … } but received';
    await expectError(none({ validation: validation as never }), "ERR_OPTION", expected);
  }
  const misspelt = { heldOut: "last-clicks", min: 2 } as never;
  await expectError(none({ validation: misspelt }), "ERR_OPTION", '{"heldOut":"last-clicks","min":2}');
  await expectError(none({ validation: { log: 7 as never } }), "ERR_OPTION", "Expected validation.log to be a path");
  await writeFile(at("strange.tsv"), "u1\tp\tc\tzz:x:t;zy:x:t\tphone\n");
  await expectError(none({ validation: { log: at("strange.tsv") } }), "ERR_LOG", "none of the target items");
  await expectError(none({ steps: 0 }), "ERR_OPTION", "steps");
  assert.not.ok((await readdir(folder)).includes("none"));
});

test.run();
