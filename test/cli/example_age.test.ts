import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openModel } from "../../src/model/model.js";
import { run, succeed, temporaryFolder } from "./run.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SCHEMA = {
  columns: [{ name: "user_id" }, { name: "clicks" }],
  click: [{ name: "item" }, { name: "time", kind: "time" }, { name: "tags", multiple: true }],
};
const TRAIN = ["--set", "draws=8", 'exclude=["user_id"]', "--batch", "32", "--epochs", "12"];
const PERIOD = 1000;
const LATEST = 1_650_000_000;

/**
 * Writes a log in which everybody watches old items in the first half of the period, and new ones in the second half.
 */
function lineOf(user: number, timeOf = (t: number) => String(LATEST - PERIOD + t)): string {
  const times = [(user * 379) % PERIOD, (user * 617 + 113) % PERIOD].sort((a, b) => a - b);
  const clicks = times.map(
    (t, i) => `${t < PERIOD / 2 ? "old" : "new"}${(user + 3 * i) % 4}:${timeOf(t)}:t${user % 3}`,
  );
  return `u${user}\t${clicks.join(";")}\n`;
}

function writeLog(name: string, timeOf?: (t: number) => string): string {
  writeFileSync(at(name), Array.from({ length: 400 }, (_, user) => lineOf(user, timeOf)).join(""));
  return at(name);
}

test.before(() => {
  writeFileSync(at("schema.json"), JSON.stringify(SCHEMA));
  const flags = ["--schema", at("schema.json"), "--feature-appear-limit", "0"];
  succeed("prepare", writeLog("log.tsv"), "--output", at("dataset"), ...flags);
  succeed(
    "prepare",
    writeLog("timeless.tsv", () => "NULL"),
    "--output",
    at("timeless"),
    ...flags,
  );
  succeed("train", at("dataset"), "--output", at("aged"), ...TRAIN, "--set", "exampleAge=true");
  succeed("train", at("dataset"), "--output", at("plain"), ...TRAIN);
});

interface Shortlist {
  readonly items: readonly { readonly item: string; readonly probability: number }[];
}

/** The probability that the next click is on a new item, averaged over all shortlists. */
function shareOfNew(text: string): number {
  const shortlists = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Shortlist);
  const shares = shortlists.map(({ items }) =>
    items.reduce((sum, { item, probability }) => sum + (item.startsWith("new") ? probability : 0), 0),
  );
  return shares.reduce((a, b) => a + b, 0) / shares.length;
}

test("a model that knows how old its examples are recommends what is watched now, another one the average of all times", () => {
  writeFileSync(at("old.tsv"), Array.from({ length: 4 }, (_, i) => `u${i}\told${i}::t0\n`).join(""));
  for (const command of [
    (model: string) => succeed("recommend", model, at("old.tsv"), "--top", "8"),
    (model: string) => succeed("mine", "users", model, "--log", at("old.tsv"), "--top", "8"),
  ]) {
    const [aged, plain] = [shareOfNew(command(at("aged"))), shareOfNew(command(at("plain")))];
    assert.ok(aged > 0.9, `with exampleAge ${aged}`);
    assert.ok(plain < 0.8, `without ${plain}`);
  }
});

test("in inference the age is 0: times of the log change nothing", () => {
  const logs = [at("log.tsv"), at("timeless.tsv"), writeLog("long-ago.tsv", (t) => String(t - 1e9))];
  const outputs = logs.map((log) => [
    succeed("recommend", at("aged"), log, "--top", "8", "--keep-watched"),
    succeed("evaluate", at("aged"), log, "--json"),
    succeed("vectors", "users", at("aged"), log, "--output", at("users.txt")) + readFileSync(at("users.txt"), "utf8"),
  ]);
  assert.equal(outputs[1], outputs[0]);
  assert.equal(outputs[2], outputs[0]);
});

test("the hidden layer has three rows for the age, and inference reads them", async () => {
  const widths = await Promise.all(
    ["aged", "plain"].map(async (name) => {
      const { program } = await openModel(at(name), { executor: "reference" });
      const age = program.tensors.find(({ name }) => name === "example_age");
      assert.equal(age && [age.role, age.shape], name === "aged" ? ["input", ["samples", 3]] : undefined);
      return program.tensors.find(({ name }) => name === "hidden1.weight")!.shape[0] as number;
    }),
  );
  assert.is(widths[0], widths[1]! + 3);
});

test("both executors train the same model, and any number of threads the same bits", () => {
  const weights = (name: string, ...flags: string[]) => {
    const settings = ["--set", "draws=8", "exampleAge=true", "--batch", "32", "--steps", "20"];
    succeed("train", at("dataset"), "--output", at(name), ...settings, ...flags);
    const bytes = readFileSync(at(`${name}/model.safetensors`));
    return new Float32Array(Uint8Array.from(bytes.subarray(8 + Number(bytes.readBigUInt64LE()))).buffer);
  };
  const native = weights("native", "--threads", "1");
  assert.equal(weights("two", "--threads", "2"), native);
  weights("reference", "--executor", "reference").forEach((value, i) => {
    assert.ok(Math.abs(value - native[i]!) < 1e-3, `element ${i}`);
  });
});

test("a dataset without times is refused", () => {
  const without = { ...SCHEMA, click: [SCHEMA.click[0], { name: "hour" }, SCHEMA.click[2]] };
  writeFileSync(at("without.json"), JSON.stringify(without));
  const flags = ["--schema", at("without.json"), "--feature-appear-limit", "0"];
  succeed("prepare", at("log.tsv"), "--output", at("without"), ...flags);
  const timed = ["--schema", at("schema.json"), "--feature-appear-limit", "0"];
  const simultaneous = writeLog("simultaneous.tsv", () => String(LATEST));
  succeed("prepare", simultaneous, "--output", at("simultaneous"), ...timed);
  for (const [dataset, problem] of [
    ["without", "its schema has none"],
    ["timeless", "no click has a time"],
    ["simultaneous", "all clicks have the same time"],
  ] as const) {
    const { status, stderr } = run(["train", at(dataset), "--output", at("none"), "--set", "exampleAge=true"]);
    assert.is(status, 1);
    assert.match(stderr, `"exampleAge" needs times of clicks that differ but ${at(dataset)} has none (${problem})`);
  }
});

test.run();
