// The learning-rate schedule that follows the epochs which patience allows.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { prepareDataset } from "../../src/data/dataset.js";
import { simulate } from "../../src/data/simulate.js";
import { writeReport } from "../../src/report/report.js";
import { readHistory } from "../../src/train/history.js";
import { learningRateAt } from "../../src/train/schedule.js";
import { TrainingSession } from "../../src/train/session.js";
import { type Annealing, type EpochResult, type TrainOptions, train } from "../../src/train/trainer.js";
import { temporaryFolder } from "../cli/run.js";
import { expectError } from "../data/temporary.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SMALL = ["hiddenWidths=[16]", "userVectorWidth=8", "batchSize=64", "lstmWidth=8", "learningRate=0.05"];
const HELD_OUT = { heldOut: "last-clicks" } as const;

test.before(async () => {
  await simulate({ output: folder, users: 120, items: 60, meanClicks: 8 });
  await prepareDataset({ logs: [at("test.tsv")], output: at("dataset"), featureAppearLimit: 0 });
});

function trainInto(output: string, options: Partial<TrainOptions> = {}) {
  return train({ dataset: at("dataset"), output: at(output), threads: 1, set: SMALL, ...options });
}

/** The bytes of all tensors, without the header, whose model id depends on the number of epochs in the configuration. */
async function weightsOf(path: string): Promise<Buffer> {
  const bytes = await readFile(at(`${path}/model.safetensors`));
  return bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
}

test("the rate is held until patience ends; then training goes back to the best epoch, and the rate falls", async () => {
  const seen: EpochResult[] = [];
  let annealing: Annealing | undefined;
  const report = await trainInto("auto", {
    validation: HELD_OUT,
    patience: 3,
    targetEpochs: "auto",
    onEpoch: (result) => seen.push(result),
    onAnnealing: (given) => (annealing = given),
  });
  const best = annealing!.epoch;
  const held = seen.slice(0, best + 3);
  assert.is(annealing!.givenUp, 3);
  assert.is(held.findLast((result) => result.best)!.epoch, best);
  assert.is(annealing!.epochs, best + Math.max(1, Math.round(best / 4)));
  assert.equal(
    seen.map(({ epoch }) => epoch),
    [...held.map((_, i) => i + 1), ...Array.from({ length: annealing!.epochs - best }, (_, i) => best + 1 + i)],
  );
  // The epochs of the model are those up to the best one, and those in which the rate fell.
  const path = [...held.slice(0, best), ...seen.slice(held.length)];
  const kept = path.findLast((result) => result.best)!;
  assert.is(report.epochs, annealing!.epochs);
  assert.is(report.validation!.epoch, kept.epoch);
  assert.is(report.validation!.ndcg["10"], Math.max(...path.map(({ validation }) => validation!.ndcg["10"]!)));
  assert.ok((await weightsOf("auto")).equals(await weightsOf(`auto/epoch-${kept.epoch}`)));
  const folders = (await readdir(at("auto"))).filter((name) => name.startsWith("epoch-"));
  assert.is(folders.length, report.epochs);
  const lines = (await readFile(at("auto/metrics.jsonl"), "utf8")).trim().split("\n");
  assert.equal(
    lines.map((line) => JSON.parse(line).ndcg),
    path.map(({ validation }) => validation!.ndcg),
  );
  const { config } = JSON.parse(await readFile(at("auto/config.json"), "utf8"));
  assert.is(config.epochs, report.epochs);

  const history = (await readHistory(at("auto")))!;
  const stepsPerEpoch = report.steps / report.epochs;
  const fall = { fallStart: best * stepsPerEpoch, fallEnd: report.steps };
  for (const { step, learningRate } of history.steps) {
    assert.ok(Math.abs(learningRate - learningRateAt(step - 1, fall, config)) < 1e-7, `step ${step}`);
  }
  assert.is(history.steps.at(-1)!.step, report.steps);
  assert.is(history.annealedFrom, best);
  assert.is(history.ended, "all-steps");
  assert.ok(history.seconds.givenUp! > 0);
  const { output: page } = await writeReport(at("auto"), { quick: true, threads: 1 });
  assert.match(await readFile(page, "utf8"), `No epoch after epoch ${best} was better at the full learning rate`);

  // At a constant rate, a training has the weights of the held epochs.
  await trainInto("constant", {
    set: [...SMALL, "finalLearningRate=1", `epochs=${best}`],
    validation: HELD_OUT,
    patience: 0,
  });
  assert.ok((await weightsOf(`constant/epoch-${best}`)).equals(await weightsOf(`auto/epoch-${best}`)));
});

test("a session is annealed by its caller, from the checkpoint of the best epoch", async () => {
  const options = { dataset: at("dataset"), threads: 1, set: SMALL, validation: HELD_OUT, patience: 3 } as const;
  const session = await TrainingSession.open({ ...options, targetEpochs: "auto" });
  try {
    assert.throws(() => session.startAnnealing(), /Expected an epoch to have ended/);
    let best = 0;
    const runEpoch = async () => {
      await session.run();
      if (!(await session.evaluateEpoch()).best) return;
      best = session.position.epoch - 1;
      await session.saveCheckpoint(at("best.safetensors"));
      await session.save(at("by-session"));
    };
    while (!session.done) await runEpoch();
    assert.ok(session.isHeld);
    await session.restoreCheckpoint(at("best.safetensors"));
    session.startAnnealing();
    assert.not.ok(session.isHeld);
    assert.throws(() => session.startAnnealing(), /whose learning rate is held/);
    const annealedFrom = best;
    assert.is(session.annealedFrom, annealedFrom);
    while (!session.done) await runEpoch();
    assert.is(session.position.epoch - 1, annealedFrom + Math.max(1, Math.round(annealedFrom / 4)));
  } finally {
    session.close();
  }
  assert.ok((await weightsOf("by-session")).equals(await weightsOf("auto")));
});

test("a training at the limit of its epochs is annealed within them", async () => {
  let annealing: Annealing | undefined;
  const report = await trainInto("limited", {
    set: [...SMALL, "learningRate=0.002", "epochs=3"],
    ...{ validation: HELD_OUT, targetEpochs: "auto", onAnnealing: (given) => (annealing = given) },
  });
  assert.is(annealing!.epoch + annealing!.givenUp, 2);
  assert.ok(report.epochs <= 3);
});

test("impossible target epochs are refused", async () => {
  const auto = { targetEpochs: "auto", validation: HELD_OUT } as const;
  const refused = (options: Partial<TrainOptions>, text: string) =>
    expectError(trainInto("refused", options), "ERR_OPTION", text);
  await refused({ targetEpochs: 0 }, "Expected targetEpochs to be a whole number of at least 1");
  await refused(
    { targetEpochs: "soon" as never },
    'targetEpochs to be a whole number of at least 1 but received "soon"',
  );
  await refused({ targetEpochs: "auto" }, 'Expected validation beside targetEpochs "auto"');
  await refused({ ...auto, steps: 9 }, 'Expected no steps beside targetEpochs "auto"');
  await refused({ ...auto, checkpointEvery: "never" }, "Expected checkpoints (checkpointEvery)");
  await refused({ ...auto, set: ["epochs=1"] }, "Expected at least 2 epochs");
});

test.run();
