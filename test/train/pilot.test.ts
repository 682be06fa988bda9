// The number of epochs that a pilot at the full learning rate measures.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { prepareDataset } from "../../src/data/dataset.js";
import { simulate } from "../../src/data/simulate.js";
import { writeReport } from "../../src/report/report.js";
import { readHistory } from "../../src/train/history.js";
import type { PilotRecord } from "../../src/train/pilot.js";
import { type EpochResult, type TrainOptions, train } from "../../src/train/trainer.js";
import { temporaryFolder } from "../cli/run.js";
import { expectError, failureOf } from "../data/temporary.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SMALL = ["hiddenWidths=[16]", "userVectorWidth=8", "batchSize=64", "lstmWidth=8", "learningRate=0.05"];
const HELD_OUT = { heldOut: "last-clicks" } as const;
const AUTO = { validation: HELD_OUT, patience: 3, targetEpochs: "auto" } as const;

test.before(async () => {
  await simulate({ output: folder, users: 120, items: 60, meanClicks: 8 });
  await prepareDataset({ logs: [at("test.tsv")], output: at("dataset"), featureAppearLimit: 0 });
});

function trainInto(output: string, options: Partial<TrainOptions> = {}) {
  return train({ dataset: at("dataset"), output: at(output), threads: 1, set: SMALL, ...options });
}

const weightsOf = async (path: string) => readFile(at(`${path}/model.safetensors`));

test("the training has as many epochs as the best one of a pilot whose learning rate is held", async () => {
  const [ofPilot, epochs]: EpochResult[][] = [[], []];
  let pilot: PilotRecord | undefined;
  const report = await trainInto("auto", {
    ...AUTO,
    onPilotEpoch: (result) => ofPilot!.push(result),
    onPilot: (record) => (pilot = record),
    onEpoch: (result) => epochs!.push(result),
  });
  const best = pilot!.bestEpoch;
  assert.is(ofPilot!.length, best + 3);
  assert.is(ofPilot!.findLast((result) => result.best)!.epoch, best);
  assert.is(pilot!.epochs.length, ofPilot!.length);
  assert.ok(ofPilot!.every(({ learningRate }) => learningRate === 0.05));
  assert.is(report.epochs, epochs!.length);

  const history = (await readHistory(at("auto")))!;
  assert.is(history.configuredEpochs, best);
  assert.equal(history.pilot, JSON.parse(JSON.stringify(pilot)));
  assert.ok(history.pilot!.seconds > 0);
  const { output: page } = await writeReport(at("auto"), { quick: true, threads: 1 });
  assert.match(
    await readFile(page, "utf8"),
    `of ${best + 3} epochs at the full learning rate, epoch ${best} was the best`,
  );

  // The same training with this number of epochs has the same weights, and the pilot has those of a constant rate.
  await trainInto("epochs", { set: [...SMALL, `epochs=${best}`], validation: HELD_OUT, patience: 3 });
  assert.ok((await weightsOf("auto")).equals(await weightsOf("epochs")));
  const constant: EpochResult[] = [];
  await trainInto("constant", {
    set: [...SMALL, "epochs=100", "finalLearningRate=1"],
    ...{ validation: HELD_OUT, patience: 3, onEpoch: (result) => constant.push(result) },
  });
  assert.equal(
    constant.map(({ loss, validation }) => [loss, validation!.ndcg]),
    ofPilot!.map(({ loss, validation }) => [loss, validation!.ndcg]),
  );
});

test("a pilot has at most the epochs of the configuration, and the training has one at least", async () => {
  const ofPilot: EpochResult[] = [];
  const set = [...SMALL, "learningRate=0.002", "epochs=2"];
  const warnings: string[] = [];
  const report = await trainInto("limited", {
    ...{ ...AUTO, set, onPilotEpoch: (result) => ofPilot.push(result), onWarning: (text) => warnings.push(text) },
  });
  assert.is(ofPilot.length, 2);
  const isLast = ofPilot[1]!.best;
  assert.is(
    warnings.some((text) => /The last of the 2 epochs of the pilot was the best/.test(text)),
    isLast,
  );
  assert.ok(report.epochs === 1 || report.epochs === 2);
});

test("a pilot that was stopped goes on, and is neither lost nor mixed with another training", async () => {
  const expected = await weightsOf("auto");
  const stopped = trainInto("stopped", {
    ...AUTO,
    onPilotEpoch: ({ epoch }) => {
      if (epoch === 2) throw new Error("crash");
    },
  });
  assert.is((await failureOf(stopped)).message, "crash");
  await expectError(
    trainInto("stopped", AUTO),
    "ERR_CHECKPOINT",
    /which measures how many epochs are best\): continue/,
  );
  await expectError(trainInto("stopped"), "ERR_CHECKPOINT", /which measures how many epochs are best/);
  await expectError(trainInto("stopped", { resume: true }), "ERR_CHECKPOINT", /--target-epochs auto.* same option/);
  const other = trainInto("stopped", { ...AUTO, seed: 2, resume: true });
  await expectError(other, "ERR_OPTION", "seed is 2 instead of 1");
  let from = 0;
  const crashed = trainInto("stopped", {
    ...{ ...AUTO, resume: true, onResume: ({ epoch }) => (from = epoch), checkpointEvery: { steps: 1 } },
    onProgress: ({ epochs, step }) => {
      if (epochs < 100 && step === 3) throw new Error("crash again");
    },
  });
  assert.is((await failureOf(crashed)).message, "crash again");
  assert.is(from, 2, "the pilot goes on after its first epoch");
  // The training has begun, with the number of epochs of the pilot.
  await expectError(trainInto("stopped", AUTO), "ERR_CHECKPOINT", /unfinished training \(up to step [123]\)/);
  const differs = trainInto("stopped", { resume: true, validation: HELD_OUT, patience: 3 });
  await expectError(differs, "ERR_OPTION", /epochs is 6 instead of \d+/);
  let pilots = 0;
  await trainInto("stopped", { ...AUTO, resume: true, onPilotEpoch: () => pilots++ });
  assert.is(pilots, 0);
  assert.ok((await weightsOf("stopped")).equals(expected));
  assert.ok((await readHistory(at("stopped")))!.pilot!.epochs.length > 0);
});

test("a training that is begun anew gives up the pilot of another one", async () => {
  const stopped = trainInto("anew", {
    ...AUTO,
    onPilotEpoch: () => {
      throw new Error("crash");
    },
  });
  assert.is((await failureOf(stopped)).message, "crash");
  // It is given up when the new training begins, and not by one that cannot.
  assert.ok(
    (await failureOf(trainInto("anew", { restart: true, dataset: at("nowhere") }))).message.includes("nowhere"),
  );
  await expectError(trainInto("anew", AUTO), "ERR_CHECKPOINT", /which measures how many epochs are best/);
  await trainInto("anew", { restart: true, set: [...SMALL, "epochs=1"] });
  assert.is((await readHistory(at("anew")))!.pilot, undefined);
});

test("impossible target epochs are refused", async () => {
  const refused = (options: Partial<TrainOptions>, text: string) =>
    expectError(trainInto("refused", options), "ERR_OPTION", text);
  await refused({ targetEpochs: 0 }, "Expected targetEpochs to be a whole number of at least 1");
  await refused(
    { targetEpochs: "soon" as never },
    'targetEpochs to be a whole number of at least 1 but received "soon"',
  );
  await refused({ targetEpochs: "auto" }, 'Expected validation beside targetEpochs "auto"');
  await refused({ ...AUTO, steps: 9 }, 'Expected no steps beside targetEpochs "auto"');
});

test.run();
