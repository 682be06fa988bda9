import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { prepareDataset } from "../../src/data/dataset.js";
import { simulate } from "../../src/data/simulate.js";
import type { Trial } from "../../src/tune/results.js";
import { parseSpace } from "../../src/tune/space.js";
import { type TuneOptions, tune } from "../../src/tune/tune.js";
import { run, succeed, temporaryFolder } from "../cli/run.js";
import { expectError } from "../data/temporary.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SET = ["hiddenWidths=[16]", "userVectorWidth=8", "draws=16", "batchSize=64", "lstmWidth=8", "epochs=4"];
const SPACE = { learningRate: { min: 0.001, max: 0.1, scale: "log" }, "embeddingWidths.item": [8, 16] };

test.before(async () => {
  await simulate({ output: folder, users: 120, items: 60, meanClicks: 8 });
  await prepareDataset({ logs: [at("train.tsv")], output: at("dataset"), featureAppearLimit: 0 });
  await search("whole");
});

function search(name: string, options: Partial<TuneOptions> = {}) {
  return tune({ dataset: at("dataset"), space: parseSpace(SPACE), output: at(name), set: SET, trials: 6, ...options });
}

async function trialsOf(name: string): Promise<Trial[]> {
  const text = await readFile(at(`${name}/trials.jsonl`), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const gain = ({ validation }: Trial) => validation!.ndcg["10"]!;
const withoutSeconds = ({ seconds: _, ...trial }: Trial) => trial;

test("each rung trains the best half of the one before with twice the epochs", async () => {
  const trials = await trialsOf("whole");
  const rung = (number: number) => trials.filter((trial) => trial.rung === number);
  assert.equal(
    [1, 2, 3].map((number) => rung(number).length),
    [6, 3, 1],
  );
  assert.equal(
    [1, 2, 3].map((number) => rung(number)[0]!.epochs),
    [1, 2, 4],
  );
  for (const number of [1, 2]) {
    const best = rung(number)
      .sort((a, b) => gain(b) - gain(a))
      .slice(0, rung(number + 1).length);
    assert.equal(
      rung(number + 1).map(({ trial }) => trial),
      best.map(({ trial }) => trial),
    );
  }
  assert.equal((await readdir(at("whole"))).sort(), ["best.json", "search.json", "table.md", "trials.jsonl"]);
});

test("best.json trains the best trial again; table.md begins with it", async () => {
  const best = (await trialsOf("whole")).sort((a, b) => gain(b) - gain(a))[0]!;
  const config = JSON.parse(await readFile(at("whole/best.json"), "utf8"));
  assert.is(config.epochs, best.epochs);
  assert.is(config.learningRate, best.settings["learningRate"]);
  assert.is(config.embeddingWidths.item, best.settings["embeddingWidths.item"]);
  const flags = ["--config", at("whole/best.json"), "--validation", "last", "--json"];
  const { validation } = JSON.parse(succeed("train", at("dataset"), "--output", at("again"), ...flags));
  assert.equal(validation.ndcg, best.validation!.ndcg);
  const rows = (await readFile(at("whole/table.md"), "utf8")).split("\n").filter((line) => line.startsWith("|"));
  assert.is(rows.length, 2 + 10);
  const { hitRate, ndcg, epoch } = best.validation!;
  const cells = [
    ...[best.trial, best.rung, `${epoch} of ${best.epochs}`, best.seconds.toFixed(1)],
    ...[hitRate["10"]!.toFixed(4), ndcg["10"]!.toFixed(4), ...Object.values(best.settings)],
  ];
  assert.is(rows[2], `| ${cells.join(" | ")} |`);
});

test("a search of before, whose epochs are called passes, goes on", async () => {
  await cp(at("whole"), at("former"), { recursive: true });
  for (const [name, now, before] of [
    ["search.json", '"epochs=4"', '"passes=4"'],
    ["trials.jsonl", '"epochs":', '"passes":'],
    ["trials.jsonl", '"epoch":', '"pass":'],
  ] as const) {
    const text = await readFile(at(`former/${name}`), "utf8");
    assert.ok(text.includes(now));
    await writeFile(at(`former/${name}`), text.replaceAll(now, before));
  }
  const report = await search("former", { onTrial: () => assert.unreachable("nothing is left to train") });
  const whole = await search("whole");
  assert.equal(report.best, whole.best);
  assert.equal(report.config, whole.config);
});

test("an interrupted search continues: finished trials are not repeated, and the result is the same", async () => {
  const whole = await trialsOf("whole");
  for (const ended of [0, 4, 7]) {
    const name = `interrupted-${ended}`;
    const seen: Trial[] = [];
    const interrupted = search(name, {
      onTrial: (trial) => {
        if (seen.push(trial) === ended + 1) throw new Error("interrupted");
      },
    });
    await interrupted.then(
      () => assert.unreachable(),
      (error) => assert.is(error.message, "interrupted"),
    );
    const lines = (await readFile(at(`${name}/trials.jsonl`), "utf8")).split("\n");
    await writeFile(
      at(`${name}/trials.jsonl`),
      lines
        .slice(0, ended)
        .map((line) => `${line}\n`)
        .join(""),
    );
    await mkdir(at(`${name}/work/epoch-1`), { recursive: true });

    const again: Trial[] = [];
    const report = await search(name, { onTrial: (trial) => again.push(trial) });
    assert.is(again.length, whole.length - ended);
    assert.equal((await trialsOf(name)).map(withoutSeconds), whole.map(withoutSeconds));
    assert.is(report.trials.length, whole.length);
    assert.not.ok((await readdir(at(name))).includes("work"));
  }
});

test("another search, or another folder, is refused", async () => {
  const other = (options: Partial<TuneOptions>) => search("whole", options);
  await expectError(other({ seed: 2 }), "ERR_OPTION", "its seed was 1 and is 2");
  await expectError(other({ space: parseSpace({ dropout: [0, 0.1] }) }), "ERR_OPTION", "its space was");
  await expectError(other({ trials: 7 }), "ERR_OPTION", "its trials was 6 and is 7");
  await expectError(other({ set: [...SET, "dropout=0.1"] }), "ERR_OPTION", "its set was");
  await expectError(search("dataset"), "ERR_OPTION", "not the folder of a search");
  assert.is((await trialsOf("whole")).length, 10);
});

test("impossible options are refused", async () => {
  await expectError(search("none", { set: ["epochs=2"] }), "ERR_OPTION", "Raise epochs or lower halvings");
  await expectError(search("none", { set: [...SET, "learningRate=0.1"] }), "ERR_OPTION", "learningRate=0.1");
  await expectError(search("none", { eta: 1 }), "ERR_OPTION", "eta");
  await expectError(search("none", { trials: 0 }), "ERR_OPTION", "trials");
  await expectError(search("none", { halvings: 0.5 }), "ERR_OPTION", "halvings");
  await expectError(search("none", { budgetSeconds: Number.NaN }), "ERR_OPTION", "budgetSeconds");
  await expectError(search("none", { dataset: at("missing") }), "ERR_DATASET", "missing");
  assert.not.ok((await readdir(folder)).includes("none"));
});

test("a trial that diverges is recorded and the search continues; if all trials fail, that is the error", async () => {
  const set = ["optimizer=sgd", ...SET];
  const space = parseSpace({ learningRate: [1e30, 0.05] });
  const report = await search("diverged", { space, set, halvings: 1 });
  const [first] = report.trials;
  assert.is(first!.settings["learningRate"], 0.05);
  const failed = report.trials.filter((trial) => trial.failed !== undefined);
  assert.is(failed.length, 1);
  assert.match(failed[0]!.failed!, "The loss of step");
  assert.equal(
    failed.map(({ rung }) => rung),
    [1],
  );
  assert.match(await readFile(at("diverged/table.md"), "utf8"), "failed: The loss of step");
  const hopeless = search("hopeless", { space: parseSpace({ learningRate: [1e30] }), set });
  await expectError(hopeless, "ERR_CONFIG", "Every trial failed");
});

test("no trial begins that would probably exceed its rung's share of the budget", async () => {
  const begun = async (name: string, budgetSeconds: number) => {
    const trials: Trial[] = [];
    const report = await search(name, { budgetSeconds, onTrial: (trial) => trials.push(trial) });
    return { begun: trials.map(({ rung, trial }) => `${rung}/${trial}`), report };
  };
  // Before the first trial, there is no estimate.
  const none = await begun("no-budget", 0);
  assert.equal(none.begun, ["1/1"]);
  assert.is(none.report.outOfBudget, true);

  // As if an earlier run had finished four trials of 100 seconds each. A fifth is expected to take as long.
  const pretend = async (name: string) => {
    await cp(at("whole"), at(name), { recursive: true });
    const lines = (await trialsOf("whole")).slice(0, 4).map((trial) => JSON.stringify({ ...trial, seconds: 100 }));
    await writeFile(at(`${name}/trials.jsonl`), lines.map((line) => `${line}\n`).join(""));
  };
  await pretend("short");
  // The first rung's share is 499 of 1497 seconds, so it ends with four trials. Two are kept, each expected to take 200
  // seconds.
  const short = await begun("short", 3 * 499);
  assert.is(short.begun.filter((text) => text.startsWith("1/")).length, 0);
  assert.is(short.begun.filter((text) => text.startsWith("2/")).length, 2);
  assert.is(short.begun.filter((text) => text.startsWith("3/")).length, 1);
  assert.is(short.report.outOfBudget, true);
  await pretend("enough");
  const enough = await begun("enough", 3 * 501);
  assert.is(enough.begun.filter((text) => text.startsWith("1/")).length, 2);
  // With a larger budget, the search continues.
  await begun("no-budget", 1000);
  assert.equal((await trialsOf("no-budget")).length, 10);
});

test("the command prints a line per trial, a report with --json, and readable errors", async () => {
  await writeFile(at("space.json"), JSON.stringify(SPACE));
  const args = (...flags: string[]) => ["tune", at("dataset"), "--space", at("space.json"), "--set", ...SET, ...flags];
  const flags = ["--output", at("command"), "--trials", "6", "--budget", "10m", "--json"];
  const { status, stdout, stderr } = run(args(...flags));
  assert.is(status, 0, stderr);
  const report = JSON.parse(stdout);
  assert.equal(report.trials.map(withoutSeconds).length, 10);
  const whole = (await trialsOf("whole")).sort((a, b) => gain(b) - gain(a));
  assert.equal(withoutSeconds(report.best), withoutSeconds(whole[0]!));
  assert.is(
    stderr.split("\n").filter((line) => /^rung \d\/3 of \d trials, trial \d \(learningRate=/.test(line)).length,
    10,
  );
  assert.match(stderr, "measure it on other clicks");

  const fails = (expected: string, ...more: string[]) => {
    const result = run(args("--output", at("failing"), ...more));
    assert.ok(result.status === 1 || result.status === 2);
    assert.match(result.stderr, expected);
    assert.not.match(result.stderr, /\n\s+at /);
  };
  fails("30m or 1.5h", "--budget", "soon");
  fails("missing.json", "--space", at("missing.json"));
  await writeFile(at("bad.json"), JSON.stringify({ learnigRate: [1] }));
  fails("bad.json", "--space", at("bad.json"));
  assert.not.ok((await readdir(folder)).includes("failing"));
});

test.run();
