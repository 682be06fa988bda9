import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset, prepareDataset } from "../../src/data/dataset.js";
import { encodeLog } from "../../src/data/encode_log.js";
import { parseSchema } from "../../src/data/schema.js";
import { openModel } from "../../src/model/model.js";
import { minePopular } from "../../src/retrieve/mine.js";
import { recommend } from "../../src/retrieve/recommend.js";
import { type EvaluateOptions, evaluate } from "../../src/train/evaluate.js";
import { countTrainedTargets } from "../../src/train/trained_targets.js";
import { type TrainOptions, train } from "../../src/train/trainer.js";
import { parseSpace } from "../../src/tune/space.js";
import { tune } from "../../src/tune/tune.js";
import { run, succeed, temporaryFolder } from "../cli/run.js";
import { expectError } from "../data/temporary.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SET = ["lstmWidth=8", "userVectorWidth=8", "hiddenWidths=[8]", "batchSize=64", "epochs=2"];
const USERS = 90;
const SCHEMA = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click: [{ name: "item" }] });

/**
 * Items of a user: a walk over 30 items. Every third user ends with the first item, so the target is in the history.
 */
function itemsOf(user: number): string[] {
  const items = Array.from({ length: 8 }, (_, c) => `i${(user * 5 + c * 3 + (c % 2)) % 30}`);
  return user % 3 === 0 ? [...items.slice(0, 7), items[0]!] : items;
}

const lines = (from: (user: number) => readonly string[], name = (user: number) => `u${user}`) =>
  Array.from({ length: USERS }, (_, user) => `${name(user)}\t${from(user).join(";")}\n`).join("");

test.before(async () => {
  await writeFile(at("log.tsv"), lines(itemsOf));
  await writeFile(
    at("history.tsv"),
    lines((user) => itemsOf(user).slice(0, -1)),
  );
  await writeFile(
    at("repeats.tsv"),
    lines((user) => [...itemsOf(user), itemsOf(user)[2]!]),
  );
  await prepare("log.tsv", "dataset");
  await prepare("history.tsv", "dataset-history");
  await trainSmall("model");
  await trainSmall("held-out", { validation: { heldOut: "last-clicks" }, patience: 0 });
});

const prepare = (log: string, output: string, featureAppearLimit = 0) =>
  prepareDataset({ logs: [at(log)], output: at(output), schema: SCHEMA, featureAppearLimit });

function trainSmall(output: string, options: Partial<TrainOptions> = {}) {
  return train({ dataset: at("dataset"), output: at(output), threads: 1, set: SET, ...options });
}

async function evaluated(model: string, log: string, options: EvaluateOptions = {}) {
  const opened = await openModel(at(model), { threads: 1 });
  try {
    return await evaluate(opened, at(log), options);
  } finally {
    opened.close();
  }
}

test("a hit is a target on the shortlist: evaluate agrees with recommend", async () => {
  const model = await openModel(at("model"), { threads: 1 });
  for (const keepWatched of [false, true]) {
    const { hitRate, watchedTargets, users } = await evaluate(model, at("log.tsv"), { tops: [5, 20], keepWatched });
    assert.is(users, USERS);
    assert.is(watchedTargets, keepWatched ? 0 : USERS / 3);
    for (const top of [5, 20]) {
      let hits = 0;
      let user = 0;
      for await (const { items } of recommend(model, at("history.tsv"), { top, keepWatched })) {
        const target = itemsOf(user++).at(-1);
        if (items.some(({ item }) => item === target)) hits++;
      }
      assert.is(hitRate[top], hits / USERS, `${top} ${keepWatched}`);
      assert.ok(hits > 0);
    }
  }
  model.close();
});

test("if every target was watched, neither model nor baselines have hits, except with --keep-watched", async () => {
  const baselines = await openDataset(at("dataset"));
  const { hitRate, mrr, popularity, transitions, watchedTargets } = await evaluated("model", "repeats.tsv", {
    baselines,
  });
  assert.is(watchedTargets, USERS);
  for (const ranking of [{ hitRate, mrr }, popularity, transitions!]) {
    assert.equal([ranking.hitRate["200"], ranking.mrr], [0, 0]);
  }
  const kept = await evaluated("model", "repeats.tsv", { baselines, keepWatched: true });
  for (const ranking of [kept, kept.popularity, kept.transitions!]) assert.is(ranking.hitRate["200"], 1);
  assert.match(
    succeed("evaluate", at("model"), at("repeats.tsv")),
    `\n${USERS} of ${USERS} targets are in the user's own history`,
  );
  assert.not.match(
    succeed("evaluate", at("model"), at("repeats.tsv"), "--keep-watched"),
    "are in the user's own history",
  );
});

test("validation and search refuse targets of which no epoch could hit one", async () => {
  await prepare("repeats.tsv", "dataset-repeats");
  const nothing = "every last click on a known item is already in its user's history";
  await expectError(trainSmall("none", { validation: { log: at("repeats.tsv") } }), "ERR_LOG", nothing);
  const dataset = at("dataset-repeats");
  await expectError(trainSmall("none", { dataset, validation: { heldOut: "last-clicks" } }), "ERR_DATASET", nothing);
  const search = tune({
    dataset,
    space: parseSpace({ learningRate: [0.1] }),
    output: at("search"),
    set: SET,
    halvings: 0,
  });
  await expectError(search, "ERR_DATASET", nothing);
});

test("targets that the model does not know are counted", async () => {
  await writeFile(
    at("strange.tsv"),
    lines((user) => (user < 10 ? ["i1", "new"] : itemsOf(user))),
  );
  assert.is((await evaluated("model", "strange.tsv")).unknownTargets, 10);
  assert.match(succeed("evaluate", at("model"), at("strange.tsv")), `10 of ${USERS} targets are items that the model`);
});

test("held-out clicks stay held out: the baselines are those of a dataset without them", async () => {
  const [whole, cut] = [await openDataset(at("dataset")), await openDataset(at("dataset-history"))];
  const heldOut = await evaluated("held-out", "log.tsv", { baselines: whole });
  const history = await trainSmall("by-history", { dataset: at("dataset-history"), testLog: at("log.tsv") });
  assert.equal(heldOut.transitions!.mrr, history.evaluation!.transitions!.mrr);
  assert.equal(heldOut.popularity.mrr, history.evaluation!.popularity.mrr);
  assert.is(heldOut.trainedTargets, 0);
  const model = await openModel(at("held-out"));
  assert.is(model.description.training["heldOut"], "last");
  const [counts, expected] = [model.items, cut.vocabularies.get("item")!];
  assert.ok(expected.size > 20);
  for (const token of expected.tokens) {
    assert.is(counts.counts[counts.idOf(token)], expected.counts[expected.idOf(token)], token);
  }
  const popular = [];
  for await (const { clicks } of minePopular(model)) popular.push(clicks);
  assert.equal(
    popular,
    [...popular].sort((a, b) => b - a),
  );
  const trained = await evaluated("model", "log.tsv", { baselines: whole });
  assert.is(trained.trainedTargets, USERS);
  assert.ok(trained.transitions!.mrr > heldOut.transitions!.mrr);
});

test("a warning counts targets of the test log that were trained on", async () => {
  const warnings: string[] = [];
  const onWarning = (message: string) => warnings.push(message);
  const report = await trainSmall("leaked", { testLog: at("log.tsv"), onWarning });
  assert.is(report.evaluation!.trainedTargets, USERS);
  assert.match(warnings.splice(0).join("\n"), `log.tsv: ${USERS} of ${USERS} targets are trained on`);
  await trainSmall("leaked", { validation: { log: at("log.tsv") }, onWarning });
  assert.match(warnings.splice(0).join("\n"), `log.tsv: ${USERS} of ${USERS} targets are trained on`);
  await trainSmall("leaked", { validation: { heldOut: "last-clicks" }, testLog: at("log.tsv"), onWarning });
  await trainSmall("leaked", { dataset: at("dataset-history"), testLog: at("log.tsv"), onWarning });
  assert.equal(warnings, []);
  const flags = ["--set", ...SET, "--output", at("leaked"), "--test", at("log.tsv")];
  assert.match(run(["train", at("dataset"), ...flags]).stderr, /warning: .*log\.tsv: 90 of 90 targets are trained on/);
});

test("targets that were trained on are found even if the line is shortened or the user unknown", async () => {
  const count = async (text: string, limit = 0) => {
    await writeFile(at("part.tsv"), text);
    await prepare("log.tsv", "dataset-limited", limit);
    const dataset = await openDataset(at("dataset-limited"));
    return countTrainedTargets((await encodeLog([at("part.tsv")], dataset)).clicks, dataset.clicks);
  };
  assert.is(await count(lines((user) => itemsOf(user).slice(0, 4))), USERS);
  assert.is(await count(lines((user) => itemsOf(user).slice(0, 1))), USERS);
  // With this limit, user ids, which occur once, are `<unk>`.
  assert.is(await count(lines(itemsOf), 1), USERS);
  assert.is(
    await count(
      lines((user) => itemsOf(user).slice(0, 2)),
      1,
    ),
    0,
  );
  // Clicks of other users, new last clicks and unknown items do not count as trained targets.
  assert.is(await count(lines(itemsOf, (user) => `u${(user + 1) % USERS}`)), 0);
  assert.is(await count(lines((user) => [...itemsOf(user), `i${(user + 1) % 30}`])), 0);
  assert.is(await count(lines((user) => [...itemsOf(user).slice(0, 3), "new"])), 0);
});

test.run();
