import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset, openModel, prepareDataset, readHistory, saveModel, train } from "../../src/index.js";
import { ExposureTally } from "../../src/train/exposure.js";
import type { TrainingState } from "../../src/train/loop.js";
import { learningRateAt } from "../../src/train/schedule.js";
import { StepRecorder } from "../../src/train/step_recorder.js";
import { expectError } from "../data/temporary.js";
import { ITEMS_ONLY, SMALL, withSmallModel } from "../small_model.js";

/** The state after a step of 10 samples, whose loss is the number of the step. */
function stateOf(step: number, steps: number): TrainingState {
  const sums = { samples: 10 * step, seconds: step / 2, samplesPerSecond: 20, secondsLeft: 0 };
  const ofStep = { stepLoss: step, stepSamples: 10, learningRate: 1 / step, secondsWaited: 0.25 };
  return { ...{ epoch: 1, epochs: 1, step, steps, loss: 0 }, ...ofStep, ...sums };
}

test("points stand for equally many steps, and the last one for the steps that are left", () => {
  const recorder = new StepRecorder();
  const completed = Array.from({ length: 2500 }, (_, i) => recorder.add(stateOf(i + 1, 2500))).filter(Boolean);
  const { points } = recorder;
  assert.equal(points, completed);
  assert.is(points.length, Math.ceil(2500 / 3));
  const first = { step: 3, loss: 2, learningRate: 1 / 3, samples: 30, seconds: 1.5, secondsWaited: 0.75 };
  assert.equal(points[0], first);
  assert.equal(points.at(-1), { ...stateOfPoint(2500), loss: 2500, secondsWaited: 0.25 });

  const ended = new StepRecorder();
  for (let step = 1; step <= 8; step++) ended.add(stateOf(step, 2500));
  assert.equal(
    ended.points.map(({ step, loss }) => [step, loss]),
    [
      [3, 2],
      [6, 5],
      [8, 7.5],
    ],
  );
  const continued = new StepRecorder(ended.points.slice(0, 2));
  for (let step = 7; step <= 2500; step++) continued.add(stateOf(step, 2500));
  assert.equal(continued.points, points);
});

function stateOfPoint(step: number) {
  const { samples, seconds, learningRate } = stateOf(step, step);
  return { step, samples, seconds, learningRate };
}

test("exposure groups the items by popularity and measures how unequal their places are", () => {
  const counts = [7, 5, 0, 60, 5, 30];
  const tally = new ExposureTally([2, 3], 6);
  tally.add([9, 3, 5, 1, -1], 1, 4);
  tally.add([3, 4, -1], 0, 3);
  assert.equal(tally.coverage, { "2": 3 / 5, "3": 4 / 5 });
  const { top, groups, gini } = tally.exposure(counts);
  assert.is(top, 2);
  // Item 3 has 60 % of the clicks, item 5 30 %, and items 1 and 4 share the last tenth. Item 2 has no click.
  assert.equal(groups, [
    { items: 1, clicks: 0.6, places: 0.5 },
    { items: 1, clicks: 0.3, places: 0.25 },
    { items: 2, clicks: 0.1, places: 0.25 },
    { items: 1, clicks: 0, places: 0 },
  ]);
  // Places 0, 0, 1, 1, 2 in rising order: (−4·0 − 2·0 + 0·1 + 2·1 + 4·2) / (5 · 4).
  assert.ok(Math.abs(gini - 0.5) < 1e-12);
  assert.is(new ExposureTally([1], 4).exposure([0, 1, 1, 1]).gini, 0);
  assert.is(new ExposureTally([1], 3).exposure([0, 0, 0]).groups.length, 1);
});

test("a training leaves a record of its steps, epochs, evaluations and seconds", async () => {
  await withSmallModel(async (at) => {
    const states: TrainingState[] = [];
    const { evaluation, validation, ...report } = await train({
      ...{ dataset: at("dataset"), output: at("model"), set: [...SMALL, "epochs=9"], seed: 3, threads: 1 },
      ...{ validation: { heldOut: "last-clicks" }, patience: 1, testLog: at("log.tsv"), profile: true },
      onProgress: (state) => states.push(state),
    });
    const history = (await readHistory(at("model")))!;
    assert.is(history.steps.length, report.steps);
    const { config } = (await openedDescription(at("model")))!;
    const last = states.at(-1)!;
    for (const [i, point] of history.steps.entries()) {
      assert.is(point.step, i + 1);
      assert.ok(Math.abs(point.loss - states[i]!.stepLoss) < 1e-5);
      assert.ok(Math.abs(point.learningRate - learningRateAt(i, last.steps, config)) < 1e-7);
    }
    assert.is(history.steps.at(-1)!.samples, report.samples);
    // The mean of the steps of the last epoch, weighted by samples, is the loss of that epoch.
    const ofEpoch = states.filter(({ epoch }) => epoch === report.epochs);
    const samples = ofEpoch.reduce((sum, { stepSamples }) => sum + stepSamples, 0);
    const loss = ofEpoch.reduce((sum, { stepLoss, stepSamples }) => sum + stepLoss * stepSamples, 0) / samples;
    assert.ok(Math.abs(loss - report.loss) < 1e-9);

    assert.is(history.epochs.length, report.epochs);
    assert.is(history.configuredEpochs, 9);
    assert.is(history.ended, report.epochs < 9 ? "patience" : "all-steps");
    assert.is(history.keptEpoch, validation!.epoch);
    const { epoch: _, ...kept } = validation!;
    assert.equal(history.validation, JSON.parse(JSON.stringify(kept)));
    assert.equal(history.test, JSON.parse(JSON.stringify(evaluation)));
    assert.equal(history.epochs[history.keptEpoch - 1]!.validation!.ndcg, kept.ndcg);
    assert.equal(history.profile, JSON.parse(JSON.stringify(report.profile)));
    const { opening, steps, waiting, evaluation: evaluated, saving } = history.seconds;
    assert.ok(Math.abs(steps + waiting - report.seconds) < 1e-3);
    assert.ok([opening, evaluated].every((seconds) => seconds > 0) && waiting >= 0 && saving >= 0);

    const { clicks, vocabularies, preparation } = await openDataset(at("dataset"));
    assert.is(history.dataset.users, clicks.users);
    assert.equal(history.dataset.preparation, preparation);
    const sizes = Object.fromEntries([...vocabularies].map(([name, { size }]) => [name, size]));
    assert.equal(history.dataset.vocabularySizes, sizes);
  });
});

async function openedDescription(folder: string) {
  using model = await openModel(folder, { threads: 1 });
  return model.description;
}

test("a dataset keeps what was left out while it was prepared", async () => {
  await withSmallModel(async (at) => {
    const lines = ["u1\ta;b;a", "u2\tb", "u3\t", "u4\ta;c", "u1\tb", "too\tmany\tcolumns"];
    await writeFile(at("odd.tsv"), `${lines.join("\n")}\n`);
    const { features } = await prepareDataset({
      ...{ logs: [at("odd.tsv")], output: at("odd"), schema: ITEMS_ONLY, featureAppearLimit: 1, onBadLine: "skip" },
    });
    const { preparation } = await openDataset(at("odd"));
    const expected = { lines: 4, skipped: 2, withoutClicks: 0, joinedLines: 1, singleClickUsers: 1, features };
    assert.equal(preparation, JSON.parse(JSON.stringify(expected)));
    assert.is(preparation!.features.find(({ name }) => name === "item")!.valuesLeftOut, 1);
  });
});

test("a record that cannot be read is refused, and a model without one has none", async () => {
  await withSmallModel(async (at) => {
    using model = await openModel(at("model"), { threads: 1 });
    await saveModel(model, at("saved"));
    assert.is(await readHistory(at("saved")), undefined);
    const path = join(at("model"), "history.json");
    const text = await readFile(path, "utf8");
    for (const [broken, problem] of [
      ["{", "Expected JSON"],
      ["null", "Expected a JSON object"],
      [text.replace('"version": 1', '"version": 2'), "a newer Shortlist wrote it"],
      [text.replace("shortlist-history", "other"), 'Expected format "shortlist-history"'],
    ] as const) {
      await writeFile(path, broken);
      await expectError(readHistory(at("model")), "ERR_MODEL", problem);
    }
    // A new training replaces it.
    await train({ dataset: at("dataset"), output: at("model"), set: SMALL, steps: 3, threads: 1 });
    assert.is((await readHistory(at("model")))!.steps.length, 3);
  });
});

test.run();
