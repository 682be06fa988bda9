import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { main, run, succeed, temporaryFolder } from "./run.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SMALL = ["--threads", "1", "--batch", "64", "--set", "lstmWidth=8", "userVectorWidth=8", "hiddenWidths=[8]"];

test.before(() => {
  succeed("simulate", "--output", folder, "--users", "80", "--items", "60", "--mean-clicks", "6");
  succeed("prepare", at("train.tsv"), "--output", at("dataset"), "--feature-appear-limit", "0");
  succeed("train", at("dataset"), "--output", at("model"), "--steps", "2", ...SMALL);
  mkdirSync(at("folder"));
  writeFileSync(at("file"), "text\n");
  writeFileSync(at("space.json"), '{ "learningRate": [0.001, 0.01] }');
});

/** Expects an error of one line that contains the text, and no new files in the folder. */
function fails(status: 1 | 2, text: string | RegExp, ...args: string[]): void {
  const before = readdirSync(folder).sort();
  const result = run(args);
  const what = `shortlist ${args.join(" ")}: ${result.status}\n${result.stderr}`;
  assert.is(result.status, status, what);
  assert.match(result.stderr, text, what);
  assert.match(result.stderr, /^error: [^\n]+\n/, what);
  assert.not.match(result.stderr, /\n\s+at /, what);
  assert.equal(readdirSync(folder).sort(), before);
}

test("an empty path is refused for every option", () => {
  const [log, dataset, model, output] = [at("test.tsv"), at("dataset"), at("model"), at("new")];
  const text = "Expected a path but received an empty text";
  for (const args of [
    ["simulate", "--output", ""],
    ["prepare", "", "--output", output],
    ["prepare", log, "--output", ""],
    ["prepare", log, "--output", output, "--schema", ""],
    ["train", dataset, "--output", ""],
    ["train", dataset, "--output", output, "--test", ""],
    ["train", dataset, "--output", output, "--validation", ""],
    ["train", dataset, "--output", output, "--config", ""],
    ["tune", dataset, "--output", "", "--space", at("space.json")],
    ["tune", dataset, "--output", output, "--space", ""],
    ["evaluate", "", log],
    ["evaluate", model, log, "--baselines", ""],
    ["recommend", model, ""],
    ["extend", model, "", "--dataset", dataset, "--output", output],
    ["extend", model, log, "--dataset", "", "--output", output],
    ["vectors", "items", model, "--output", ""],
    ["mine", "users", model, "--users", ""],
    ["mine", "users", model, "--log", ""],
    ["mine", "similar", model, "--items", ""],
    ["inspect", ""],
  ]) {
    fails(2, text, ...args);
  }
});

test("folders where files are expected, files where folders are, names too long", () => {
  const [log, dataset, model, output] = [at("test.tsv"), at("dataset"), at("model"), at("new")];
  const long = at("b".repeat(300));
  fails(1, "it is a folder", "prepare", at("folder"), "--output", output);
  fails(1, "it is a folder", "prepare", log, "--output", output, "--schema", at("folder"));
  fails(1, "it is a folder", "train", dataset, "--output", output, "--config", at("folder"));
  fails(1, "it is a folder", "train", dataset, "--output", output, "--test", at("folder"));
  fails(1, "it is a folder", "mine", "users", model, "--users", at("folder"));
  fails(1, "it is a folder", "recommend", model, at("folder"));
  fails(1, "It is a file", "recommend", at("file"), log);
  fails(1, "It is a file", "train", at("file"), "--output", output);
  fails(1, "file", "inspect", at("file"));
  fails(1, "not a folder", "tune", dataset, "--space", at("space.json"), "--output", at("file/x"));
  fails(1, "file", "tune", dataset, "--space", at("space.json"), "--output", at("file"));
  for (const args of [
    ["prepare", long, "--output", output],
    ["recommend", long, log],
    ["mine", "similar", model, "--items", long],
    ["tune", dataset, "--space", at("space.json"), "--output", long],
  ]) {
    fails(1, /^error: /, ...args);
  }
});

test("sizes that no machine has are refused before anything is made", () => {
  const train = ["train", at("dataset"), "--output", at("new")];
  fails(1, '"lstmLayers"', ...train, "--set", "lstmLayers=100000");
  fails(1, /need \S+ GiB but there are/, ...train, "--set", "lstmWidth=1000000");
  fails(1, /need \S+ GiB but there are/, ...train, "--set", "userVectorWidth=2000000000");
  fails(2, "--max-line-bytes", "prepare", at("test.tsv"), "--output", at("new"), "--max-line-bytes", "0");
  fails(1, "maxLineBytes", "prepare", at("test.tsv"), "--output", at("new"), "--max-line-bytes", "9000000000");
});

test("SHORTLIST_STACK shows where an error came from", () => {
  const { stderr } = run(["inspect", at("missing")], { SHORTLIST_STACK: "1" });
  assert.match(stderr, /^error: .*missing: There is no such folder/);
  assert.match(stderr, /\n\s+at .*model\/model\.js:\d+/);
});

test("a full disk below standard output is an error", () => {
  if (!existsSync("/dev/full")) return;
  for (const command of [
    ["recommend", at("model"), at("infer.tsv")],
    ["mine", "popular", at("model")],
    ["inspect", at("model")],
  ]) {
    const quoted = [process.execPath, main, ...command].map((part) => `'${part}'`).join(" ");
    const { status, stderr } = spawnSync("sh", ["-c", `${quoted} > /dev/full`], { encoding: "utf8" });
    assert.is(status, 1);
    assert.match(stderr, "error: Cannot write to standard output: the disk is full");
  }
});

test("logs come from pipes, too", () => {
  const quoted = (args: readonly string[]) => [process.execPath, main, ...args].map((part) => `'${part}'`).join(" ");
  const through = (args: readonly string[]) =>
    spawnSync("sh", ["-c", `cat '${at("test.tsv")}' | ${quoted(args)}`], { encoding: "utf8", timeout: 60_000 });
  for (const args of [
    ["recommend", at("model"), "/dev/stdin", "--top", "3"],
    ["evaluate", at("model"), "/dev/stdin", "--json"],
    ["mine", "users", at("model"), "--log", "/dev/stdin"],
  ]) {
    const piped = through(args);
    assert.is(piped.status, 0, piped.stderr);
    assert.is(piped.stdout, succeed(...args.map((part) => (part === "/dev/stdin" ? at("test.tsv") : part))));
  }
  const before = readdirSync(folder).sort();
  const prepared = through(["prepare", "/dev/stdin", "--output", at("piped"), "--feature-appear-limit", "0"]);
  assert.is(prepared.status, 0, prepared.stderr);
  assert.equal(readdirSync(at("piped")).sort(), ["clicks.safetensors", "dataset.json", "vocabulary"]);
  assert.equal(readdirSync(folder).sort(), [...before, "piped"].sort());
});

test("users without clicks are served, and counted", () => {
  writeFileSync(at("new.tsv"), "u1\tp1\tNULL\t\tm1\nu2\tp1\tNULL\tNULL\tm2\n");
  const { status, stdout, stderr } = run(["recommend", at("model"), at("new.tsv"), "--top", "2"]);
  assert.is(status, 0, stderr);
  assert.is(stdout.trim().split("\n").length, 2);
  assert.match(stderr, "2 users without clicks");
});

test.run();
