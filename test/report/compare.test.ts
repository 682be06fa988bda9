import { readFile, writeFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Turns } from "../../src/data/turns.js";
import { type Comparison, compareModels, evaluate, openModel, train } from "../../src/index.js";
import { bootstrapMeans, estimateOf } from "../../src/report/bootstrap.js";
import { run, succeed } from "../cli/run.js";
import { expectError } from "../data/temporary.js";
import { SMALL, withSmallModel } from "../small_model.js";

const USERS = 400;

test("the bootstrap has the variance of a mean, the same for the same seed, and pairs lists by user", async () => {
  // Values 0, …, 9, of variance 8.25: the standard error of the mean of 400 users is √(8.25 / 400).
  const values = Float64Array.from({ length: USERS }, (_, user) => user % 10);
  const shifted = values.map((value) => value + 1);
  const sampling = { resamples: 4000, seed: 7 };
  const [means, others] = await bootstrapMeans([values, shifted], sampling, new Turns());
  const mean = means!.reduce((sum, value) => sum + value, 0) / 4000;
  const deviation = Math.sqrt(means!.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4000);
  const expected = Math.sqrt(8.25 / USERS);
  // Four standard errors of the estimates themselves.
  assert.ok(Math.abs(mean - 4.5) < (4 * expected) / Math.sqrt(4000), String(mean));
  assert.ok(Math.abs(deviation / expected - 1) < 4 / Math.sqrt(2 * 4000), String(deviation));
  const { low, high } = estimateOf(4.5, means!);
  assert.ok(Math.abs(low - (4.5 - 1.96 * expected)) < 0.02 && Math.abs(high - (4.5 + 1.96 * expected)) < 0.02);
  // The lists differ by 1 for every user, so their means do in every resample.
  assert.ok(means!.every((value, r) => Math.abs(others![r]! - value - 1) < 1e-9));
  const [again] = await bootstrapMeans([values], sampling, new Turns());
  assert.equal(again, means);
  const [other] = await bootstrapMeans([values], { ...sampling, seed: 8 }, new Turns());
  assert.not.equal(other, means);
});

test("quantiles are interpolated", () => {
  const { mean, low, high } = estimateOf(
    0.5,
    Float64Array.from({ length: 101 }, (_, i) => 100 - i),
  );
  assert.is(mean, 0.5);
  assert.ok(Math.abs(low - 2.5) < 1e-9 && Math.abs(high - 97.5) < 1e-9);
});

test("models are compared on the same users, as evaluate measures them", async () => {
  await withSmallModel(async (at) => {
    const set = [...SMALL, "learningRate=0.02"];
    await train({ dataset: at("dataset"), output: at("b"), set, steps: 12, seed: 2, threads: 1 });
    const options = { testLog: at("log.tsv"), tops: [1, 5], resamples: 300, threads: 1 };
    const comparison = await compareModels([at("model"), at("b"), at("model")], options);
    const { models, users, differences } = comparison;
    assert.is(users, 700);
    const [first, second, third] = models;
    for (const [i, name] of ["model", "b"].entries()) {
      using model = await openModel(at(name), { threads: 1 });
      const { hitRate, ndcg, mrr, coverage, protocol } = await evaluate(model, at("log.tsv"), { tops: [1, 5] });
      const expected = {
        "HitRate@1": hitRate["1"],
        "HitRate@5": hitRate["5"],
        "NDCG@1": ndcg["1"],
        "NDCG@5": ndcg["5"],
      };
      for (const [metric, value] of Object.entries({ ...expected, MRR: mrr })) {
        const { mean, low, high } = models[i]!.metrics[metric]!;
        assert.ok(Math.abs(mean - value!) < 1e-12, metric);
        assert.ok(low <= mean && mean <= high, metric);
      }
      assert.equal(models[i]!.coverage, coverage);
      assert.is(models[i]!.items, protocol.rankedItems);
    }
    for (const [metric, { difference, mean }] of Object.entries(second!.metrics)) {
      assert.ok(Math.abs(difference!.mean - (mean - first!.metrics[metric]!.mean)) < 1e-12);
      assert.ok(difference!.low < difference!.high);
      assert.equal(third!.metrics[metric]!.difference, { mean: 0, low: 0, high: 0 });
      assert.is(first!.metrics[metric]!.difference, undefined);
    }
    assert.equal(differences.find(({ name }) => name === "learningRate")!.values[1], 0.02);
    assert.equal(differences.find(({ name }) => name === "seed")!.values, [1, 2, 1]);
    assert.is(
      differences.some(({ name }) => name === "lstmWidth"),
      false,
    );
    assert.equal([first!.cost.steps, second!.cost.steps], [2, 12]);
    assert.ok(second!.cost.seconds! > 0 && second!.cost.weightBytes > 1000);

    assert.equal(await compareModels([at("model"), at("b"), at("model")], { ...options, threads: 2 }), comparison);
    const json = succeed(
      "compare",
      at("model"),
      at("b"),
      at("model"),
      "--test",
      at("log.tsv"),
      "--json",
      "--top",
      "1,5",
      "--resamples",
      "300",
      "--output",
      at("page.html"),
    );
    assert.equal(JSON.parse(json) as Comparison, JSON.parse(JSON.stringify(comparison)));
    assert.match(await readFile(at("page.html"), "utf8"), "Comparison of 3 models");
    const table = succeed("compare", at("model"), at("b"), "--test", at("log.tsv"), "--resamples", "100");
    assert.match(table, /HitRate@10 .* … .*\[2\] − \[1\]|\[2\] − \[1\]/);
    assert.match(table, /learningRate\s+[\d.]+\s+0\.02/);
  });
});

test("without a test log, models are compared on the clicks that their training held out", async () => {
  await withSmallModel(async (at) => {
    const common = { dataset: at("dataset"), set: SMALL, steps: 3, threads: 1 };
    const validation = { heldOut: "last-clicks" } as const;
    const { validation: measured } = await train({ ...common, output: at("a"), validation });
    await train({ ...common, output: at("b"), validation, seed: 3 });
    const { models, on } = await compareModels([at("a"), at("b")], { dataset: at("dataset"), resamples: 100 });
    assert.is(on, "each user's last click");
    assert.ok(Math.abs(models[0]!.metrics["NDCG@10"]!.mean - measured!.ndcg["10"]!) < 1e-12);
    const { stdout, status } = run(["compare", at("a"), at("b"), "--dataset", at("dataset"), "--resamples", "100"]);
    assert.is(status, 0);
    assert.match(stdout, "700 users, each user's last click");
    // This model was trained on the last clicks.
    const folders = [at("a"), at("model")];
    await expectError(compareModels(folders, { dataset: at("dataset") }), "ERR_DATASET", "trained on the last clicks");
  });
});

test("what cannot be compared is refused", async () => {
  await withSmallModel(async (at) => {
    const two = [at("model"), at("model")];
    const testLog = at("log.tsv");
    await expectError(compareModels([at("model")], { testLog }), "ERR_OPTION", "at least two models");
    await expectError(compareModels(two, {}), "ERR_OPTION", "a test log or a dataset");
    await expectError(compareModels(two, { testLog, resamples: 10 }), "ERR_OPTION", "resamples");
    await expectError(compareModels(two, { testLog, seed: -1 }), "ERR_OPTION", "seed");
    await expectError(compareModels([at("model"), at("none")], { testLog }), "ERR_MODEL", "no such folder");
    await writeFile(at("foreign.tsv"), "u1\tx;y\n");
    await expectError(compareModels(two, { testLog: at("foreign.tsv") }), "ERR_LOG", "knows none of the target items");
    const { status, stderr } = run(["compare", at("model"), at("model")]);
    assert.is(status, 1);
    assert.match(stderr, "a test log or a dataset");
  });
});

test.run();
