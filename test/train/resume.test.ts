// A training that was interrupted ends with the model of one that was not, and nothing of it is lost or mixed with
// another one. test/data/kills.ts kills the command at random moments.

import { existsSync } from "node:fs";
import { cp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { prepareDataset } from "../../src/data/dataset.js";
import { simulate } from "../../src/data/simulate.js";
import { openModel, saveModel } from "../../src/model/model.js";
import { TrainingSession } from "../../src/train/session.js";
import { type TrainOptions, train } from "../../src/train/trainer.js";
import { temporaryFolder } from "../cli/run.js";
import { expectError, failureOf } from "../data/temporary.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SMALL = ["hiddenWidths=[16]", "userVectorWidth=8", "draws=32", "batchSize=64", "lstmWidth=8", "epochs=3"];
const HELD_OUT = { heldOut: "last-clicks" } as const;

/** Trainings that differ in what they keep between steps, and in when they end. */
const TRAININGS: Readonly<Record<string, Partial<TrainOptions>>> = {
  "shared batches, growing windows, validation": { set: SMALL, validation: HELD_OUT, patience: 0 },
  "shuffled batches, dropout, row-wise AdaGrad": {
    set: [...SMALL, "optimizer=rowwise_adagrad", "batching=shuffled", "windows=sliding", "dropout=0.5"],
    patience: undefined,
  },
  "lazy decay; patience ends it early": {
    preset: "paddle",
    set: ["batchSize=64", "epochs=9", "lstmWidth=8", "hiddenWidths=[16]", "learningRate=1"],
    validation: HELD_OUT,
    patience: 1,
  },
  "a number of steps that ends within an epoch": { set: SMALL, steps: 31 },
  "as many epochs as a pilot finds best": {
    set: [...SMALL, "epochs=12", "learningRate=0.01"],
    validation: HELD_OUT,
    targetEpochs: "auto",
  },
};

test.before(async () => {
  await simulate({ output: folder, users: 120, items: 60, meanClicks: 8 });
  await prepareDataset({ logs: [at("test.tsv")], output: at("dataset"), featureAppearLimit: 0 });
  await prepareDataset({ logs: [at("train.tsv")], output: at("other"), featureAppearLimit: 0 });
});

function trainInto(output: string, options: Partial<TrainOptions> = {}) {
  return train({ dataset: at("dataset"), output: at(output), threads: 1, ...options });
}

/** All files of a folder, without the numbers that depend on the time. */
async function contentsOf(path: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of (await readdir(path, { recursive: true })).sort()) {
    if ((await stat(join(path, name))).isDirectory()) continue;
    const bytes = await readFile(join(path, name));
    files.set(name, textOf(name, bytes));
  }
  return files;
}

function textOf(name: string, bytes: Buffer): string {
  if (name.endsWith("metrics.jsonl")) {
    return bytes.toString().replace(/"(seconds|samplesPerSecond|evaluationSeconds)":[\d.e-]+/g, '"$1":0');
  }
  if (!name.endsWith("history.json")) return bytes.toString("base64");
  const { columns, keptEpoch, ended, pilot } = JSON.parse(bytes.toString());
  const { step, loss, learningRate, samples } = columns;
  const losses = pilot?.epochs.map((epoch: { loss: number }) => epoch.loss);
  return JSON.stringify({ keptEpoch, ended, losses, best: pilot?.bestEpoch, step, loss, learningRate, samples });
}

/** Stops a training by its signal after each of these numbers of steps, and resumes it every time. */
async function trainWithStops(output: string, options: Partial<TrainOptions>, stops: readonly number[]) {
  for (const [i, stop] of stops.entries()) {
    const controller = new AbortController();
    const stopped = trainInto(output, {
      ...options,
      threads: 1 + (i % 2),
      resume: i > 0,
      signal: controller.signal,
      onProgress: ({ step }) => step >= stop && controller.abort(new Error("stopped")),
    });
    const { message } = await failureOf(stopped);
    assert.is(message, "stopped");
  }
  let from = -1;
  const report = await trainInto(output, {
    ...options,
    threads: 2,
    resume: true,
    onResume: ({ step }) => (from = step),
  });
  assert.ok(from >= stops.at(-1)!, `it goes on after step ${from}`);
  return report;
}

for (const [name, options] of Object.entries(TRAININGS)) {
  test(`stopped and resumed, it ends with the same files: ${name}`, async () => {
    const { validation, steps } = await trainInto("whole", options);
    const expected = await contentsOf(at("whole"));
    // The engine runs at most five steps at a time, so that it stops soon after each of these.
    const stoppable = { ...options, checkpointEvery: { steps: 5 } };
    const report = await trainWithStops("stopped", stoppable, [1, 9, 14, steps - 6]);
    assert.equal(report.validation, validation);
    assert.is(report.steps, steps);
    assert.equal(await contentsOf(at("stopped")), expected);
    await rm(at("stopped"), { recursive: true });
    await rm(at("whole"), { recursive: true });
  });

  test(`stopped while an epoch is saved or evaluated, it ends with the same files: ${name}`, async () => {
    const { epochs } = await trainInto("whole", options);
    const ends = (await readFile(at("whole/metrics.jsonl"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).step);
    const report = await trainWithStops("stopped", options, ends.slice(0, -1));
    assert.is(report.epochs, epochs);
    assert.equal(await contentsOf(at("stopped")), await contentsOf(at("whole")));
    await rm(at("stopped"), { recursive: true });
    await rm(at("whole"), { recursive: true });
  });

  test(`after a crash it goes on from the last checkpoint to the same files: ${name}`, async () => {
    const { steps } = await trainInto("whole", options);
    const expected = await contentsOf(at("whole"));
    const every = { checkpointEvery: { steps: 4 } } as const;
    for (const crash of [6, Math.floor(steps / 2), steps - 1]) {
      const crashed = trainInto("crashed", {
        ...options,
        ...every,
        resume: true,
        onProgress: ({ step }) => {
          if (step >= crash) throw new Error("crash");
        },
      });
      assert.is((await failureOf(crashed)).message, "crash");
    }
    let [from, last] = [0, 0];
    await trainInto("crashed", {
      ...options,
      ...every,
      threads: 2,
      resume: true,
      onResume: ({ step }) => (from = step),
      onCheckpoint: ({ step }) => (last = step),
    });
    assert.ok(from > 0 && from >= steps - 8, `${from} of ${steps}`);
    assert.ok(from % 4 === 0 && last % 4 === 0);
    assert.equal(await contentsOf(at("crashed")), expected);
    await rm(at("crashed"), { recursive: true });
    await rm(at("whole"), { recursive: true });
  });
}

/** Leaves an unfinished training with the checkpoints of steps 4, 8 and so on, as far as they are kept. */
async function leaveUnfinished(output: string, options: Partial<TrainOptions> = {}, until = 13): Promise<string[]> {
  const crashed = trainInto(output, {
    set: SMALL,
    checkpointEvery: { steps: 4 },
    ...options,
    onProgress: ({ step }) => {
      if (step >= until) throw new Error("crash");
    },
  });
  assert.is((await failureOf(crashed)).message, "crash");
  return (await readdir(at(`${output}/unfinished`))).filter((name) => name.startsWith("checkpoint-"));
}

test("the last two checkpoints are kept", async () => {
  assert.equal(await leaveUnfinished("two"), ["checkpoint-12.safetensors", "checkpoint-8.safetensors"]);
});

test("an unfinished training is neither lost nor mixed with another one", async () => {
  await leaveUnfinished("unfinished");
  await expectError(openModel(at("unfinished")), "ERR_MODEL", "Its training is not finished (train --resume)");
  const before = await contentsOf(at("unfinished"));
  const again = (options: Partial<TrainOptions>) => trainInto("unfinished", { set: SMALL, ...options });
  await expectError(
    again({}),
    "ERR_CHECKPOINT",
    "holds an unfinished training (up to step 12): continue it with --resume",
  );
  for (const [options, difference] of [
    [{ seed: 2 }, "seed is 2 instead of 1"],
    [{ set: [...SMALL, "learningRate=0.1", "batching=shuffled"] }, "learningRate is 0.1 instead of 0.004"],
    [{ dataset: at("other") }, "the dataset is another one"],
    [{ steps: 20 }, "the number of steps is 20 instead of"],
    [{ validation: HELD_OUT }, "validation is last-clicks instead of none"],
    [{ validation: { log: at("train.tsv") }, onWarning: () => {} }, "validation is a log instead of none"],
  ] as const) {
    const message = await expectError(again({ resume: true, ...options }), "ERR_OPTION", difference);
    assert.match(message, /^Cannot resume .*unfinished: Expected the training that was begun but .* --restart/);
  }
  await expectError(again({ resume: true, restart: true }), "ERR_OPTION", "either resume or restart");
  assert.equal(await contentsOf(at("unfinished")), before);
  await trainInto("anew", { set: SMALL, seed: 2 });
  await again({ restart: true, seed: 2 });
  assert.equal(await contentsOf(at("unfinished")), await contentsOf(at("anew")));
});

test("another patience or validation log is refused, and the same one is not", async () => {
  const log = await readFile(at("train.tsv"), "utf8");
  await writeFile(at("validation.tsv"), log);
  const options = { set: SMALL, validation: { log: at("validation.tsv") }, patience: 3 };
  await leaveUnfinished("validated", options);
  const resume = (changed: Partial<TrainOptions>) => trainInto("validated", { ...options, resume: true, ...changed });
  await expectError(resume({ patience: 4 }), "ERR_OPTION", "patience is 4 instead of 3");
  await expectError(resume({ keepState: true }), "ERR_OPTION", "keepState is true instead of false");
  await writeFile(at("validation.tsv"), log.split("\n").slice(3).join("\n"));
  await expectError(resume({}), "ERR_OPTION", "the clicks of the validation log are others");
  await writeFile(at("elsewhere.tsv"), log);
  await resume({ validation: { log: at("elsewhere.tsv") } });
});

test("a finished model stays until a new training is finished, and is not resumed", async () => {
  const first = await trainInto("served", { set: SMALL });
  assert.ok(first.epochs === 3);
  const before = await contentsOf(at("served"));
  await leaveUnfinished("served", { seed: 2 });
  for (const [name, bytes] of before) assert.is((await contentsOf(at("served"))).get(name), bytes, name);
  const model = await openModel(at("served"), { threads: 1 });
  await saveModel(model, at("served"));
  model.close();
  await trainInto("served", { set: SMALL, seed: 2, resume: true });
  await trainInto("second", { set: SMALL, seed: 2 });
  assert.equal(await contentsOf(at("served")), await contentsOf(at("second")));
  const again = trainInto("served", { set: SMALL, seed: 2, resume: true });
  await expectError(again, "ERR_CHECKPOINT", "holds a finished model and no unfinished training");
});

test("with resume and nothing to resume the training begins; without checkpoints it cannot go on", async () => {
  let resumed = false;
  await trainInto("begun", { set: SMALL, resume: true, steps: 3, onResume: () => (resumed = true) });
  assert.not.ok(resumed);
  assert.equal(await leaveUnfinished("never", { checkpointEvery: "never" }, 30), []);
  assert.ok((await readdir(at("never/unfinished"))).includes("epoch-1"));
  for (const resume of [false, true]) {
    const message = await expectError(trainInto("never", { set: SMALL, resume }), "ERR_CHECKPOINT", "no checkpoint");
    assert.match(message, "--restart");
  }
});

test("with checkpoints, an epoch is never saved before there is one to go on from", async () => {
  const seldom = { set: SMALL, checkpointEvery: { seconds: 3600 } } as const;
  const { steps } = await trainInto("seldom", seldom);
  const expected = await contentsOf(at("seldom"));
  await rm(at("seldom"), { recursive: true });
  let at1 = 0;
  const crashed = trainInto("seldom", {
    ...seldom,
    onCheckpoint: ({ step }) => {
      at1 = step;
      assert.not.ok(existsSync(at("seldom/unfinished/epoch-1")));
    },
    onProgress: ({ step }) => {
      if (step === steps - 1) throw new Error("crash");
    },
  });
  assert.is((await failureOf(crashed)).message, "crash");
  assert.ok(existsSync(at("seldom/unfinished/epoch-2")));
  let from = 0;
  await trainInto("seldom", { ...seldom, resume: true, onResume: ({ step }) => (from = step) });
  assert.is(from, at1);
  assert.equal(await contentsOf(at("seldom")), expected);
});

/** Changes one byte in the middle of a file. */
async function damage(path: string): Promise<void> {
  const file = await open(path, "r+");
  const { size } = await file.stat();
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, Math.floor(size / 2));
  byte[0]! ^= 1;
  await file.write(byte, 0, 1, Math.floor(size / 2));
  await file.close();
}

test("a damaged checkpoint is left out with a message, and the one before goes on to the same model", async () => {
  await trainInto("sound", { set: SMALL });
  for (const [name, harm] of Object.entries({
    bit: damage,
    header: (path: string) => writeFile(path, "nonsense"),
    cut: async (path: string) => writeFile(path, (await readFile(path)).subarray(0, -5)),
  })) {
    await leaveUnfinished(name);
    await harm(at(`${name}/unfinished/checkpoint-12.safetensors`));
    const warnings: string[] = [];
    let from = 0;
    const onWarning = (message: string) => warnings.push(message);
    await trainInto(name, { set: SMALL, resume: true, onWarning, onResume: ({ step }) => (from = step) });
    assert.is(from, 8, name);
    assert.is(warnings.length, 1);
    assert.match(warnings[0]!, /checkpoint-12\.safetensors.*goes on from the checkpoint before, of step 8/);
    assert.equal(await contentsOf(at(name)), await contentsOf(at("sound")), name);
  }
  for (const checkpoint of await leaveUnfinished("lost")) await damage(at(`lost/unfinished/${checkpoint}`));
  const lost = trainInto("lost", { set: SMALL, resume: true });
  await expectError(lost, "ERR_CHECKPOINT", "its bytes do not fit its checksum. Start anew with --restart");
});

test("a checkpoint that cannot be written is a warning, and training goes on", async () => {
  const warnings: string[] = [];
  await trainInto("full", {
    set: SMALL,
    checkpointEvery: { steps: 4 },
    onWarning: (message) => warnings.push(message),
    onCheckpoint: ({ step }) => {
      if (step === 8) throw new Error("the disk is full");
    },
  });
  assert.equal(warnings, ["The checkpoint of step 8 was not written: the disk is full"]);
});

test("a session goes on from a checkpoint of another one", async () => {
  const options = { dataset: at("dataset"), set: SMALL, threads: 1 };
  const first = await TrainingSession.open(options);
  await first.run({ steps: 5 });
  await first.saveCheckpoint(at("five.safetensors"));
  await first.run({ steps: 3 });
  await first.saveCheckpoint(at("eight.safetensors"));
  first.close();
  const second = await TrainingSession.open({ ...options, threads: 2 });
  await second.restoreCheckpoint(at("five.safetensors"));
  assert.is(second.position.step, 5);
  await second.run({ steps: 3 });
  await second.saveCheckpoint(at("again.safetensors"));
  const withoutTime = async (name: string) => {
    const text = (await readFile(at(name))).toString("latin1");
    return text
      .replace(/\\"seconds\\":[\d.e-]+/g, "")
      .replace(/"checksum":"\w+"/, "")
      .replace(/^[^{]*/, "")
      .replace(/} *$/m, "}");
  };
  const [eight, again] = await Promise.all(["eight.safetensors", "again.safetensors"].map(withoutTime));
  assert.is(again!.slice(-40_000), eight!.slice(-40_000));
  await expectError(second.restoreCheckpoint(at("none.safetensors")), "ERR_CHECKPOINT", "none.safetensors");
  await cp(at("five.safetensors"), at("broken.safetensors"));
  await damage(at("broken.safetensors"));
  await expectError(second.restoreCheckpoint(at("broken.safetensors")), "ERR_CHECKPOINT", "damaged");
  // It refused both before it changed anything.
  await second.run({ steps: 1 });
  second.close();
});

test("impossible times of checkpoints are refused", async () => {
  for (const every of ["often", { steps: 0 }, { steps: 1, seconds: 1 }, { seconds: -1 }, {}, 10, null]) {
    const refused = trainInto("none", { checkpointEvery: every as "epoch" });
    await expectError(refused, "ERR_OPTION", 'Expected checkpointEvery to be "epoch", "never"');
  }
});

test.run();
