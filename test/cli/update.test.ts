import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HAS_DUCKDB } from "../data/table_files.js";
import { main, run, succeed, temporaryFolder } from "./run.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SMALL = ["--threads", "1", "--set", "lstmWidth=8", "userVectorWidth=8", "hiddenWidths=[8]", "batchSize=64"];
const record = (model: string) => JSON.parse(readFileSync(at(`${model}/config.json`), "utf8"));

function succeeded(...args: string[]) {
  const result = run(args);
  assert.is(result.status, 0, result.stderr);
  return result;
}

test("update is prepare --from and train --from, of click logs and of tables", () => {
  succeed("simulate", "--output", at("logs"), "--users", "80", "--items", "50");
  const lines = readFileSync(at("logs/train.tsv"), "utf8").trimEnd().split("\n");
  writeFileSync(at("day1.tsv"), `${lines.slice(0, 60).join("\n")}\n`);
  writeFileSync(at("day2.tsv"), `${lines.slice(50).join("\n")}\n`);
  succeed("prepare", at("day1.tsv"), "--output", at("data1"), "--feature-appear-limit", "0");
  succeed("train", at("data1"), "--output", at("model1"), "--keep-state", "--epochs", "1", ...SMALL);
  const grow = ["--history", "50", "--half-life", "7"];
  const options = ["--learning-rate", "0.002", "--epochs", "2", "--threads", "1"];
  const { stderr } = succeeded(
    ...["update", at("model1"), at("day2.tsv"), "--dataset", at("data1"), "--output", at("model2")],
    ...["--output-dataset", at("data2"), ...grow, ...options, "--test", at("logs/test.tsv")],
  );
  assert.match(stderr, /data2: 80 users, \d+ clicks\n {2}new: \d+ clicks, 20 users; values user_id 20/);
  assert.match(stderr, /HitRate/);
  succeed("prepare", at("day2.tsv"), "--from", at("data1"), "--output", at("data3"), ...grow);
  succeed(
    "train",
    at("data3"),
    "--from",
    at("model1"),
    "--output",
    at("model3"),
    "--set",
    "learningRate=0.002",
    ...options.slice(2),
  );
  for (const member of ["model.safetensors", "state.safetensors"]) {
    assert.equal(readFileSync(at(`model2/${member}`)), readFileSync(at(`model3/${member}`)), member);
  }
  assert.is(record("model2").training.updates, 1);
  assert.is(record("model2").config.learningRate, 0.002);
  assert.match(succeed("inspect", at("model2")), /50 items, updated once/);
  if (!HAS_DUCKDB) return;
  writeFileSync(at("events1.csv"), `user,item\n${["a,x", "a,y", "b,y", "b,z", "c,z", "c,x"].join("\n")}\n`);
  writeFileSync(
    at("items.csv"),
    `item,genre\n${["x", "y", "z", "w", "v"].map((item, i) => `${item},g${i % 2}`).join("\n")}\n`,
  );
  writeFileSync(
    at("source.json"),
    JSON.stringify({ items: { files: [at("items.csv")], features: [{ column: "genre" }] } }),
  );
  writeFileSync(at("events2.csv"), `user,item\n${["a,z", "d,w", "d,x"].join("\n")}\n`);
  const source = ["--source", at("source.json")];
  succeed("prepare", at("events1.csv"), ...source, "--output", at("table1"));
  succeed("train", at("table1"), "--output", at("model4"), "--epochs", "1", ...SMALL);
  const { stderr: ofTable } = succeeded(
    ...["update", at("model4"), at("events2.csv"), "--dataset", at("table1"), "--output", at("model5")],
    ...["--output-dataset", at("table2"), ...source, "--threads", "1"],
  );
  assert.match(ofTable, /new: 3 clicks, 1 users; values user_id 1, item 1/);
  assert.not.match(ofTable, /was extended/);
  assert.match(succeed("inspect", at("model5")), /5 items, updated once, 1 of them added without training/);
});

test("update takes every flag of tables: the weights of events", () => {
  if (!HAS_DUCKDB) return;
  const events = (name: string, rows: readonly string[]) =>
    writeFileSync(at(name), `user,item,share\n${rows.join("\n")}\n`);
  events("weighted1.csv", ["a,x,1", "a,y,2", "b,y,1", "b,z,4", "c,z,1", "c,x,3"]);
  events("weighted2.csv", ["a,z,5", "d,x,1", "d,y,2"]);
  const weight = ["--weight", "share"];
  succeed("prepare", at("weighted1.csv"), ...weight, "--output", at("weighted1"));
  succeed("train", at("weighted1"), "--output", at("model6"), "--epochs", "1", ...SMALL);
  const { stderr } = succeeded(
    ...["update", at("model6"), at("weighted2.csv"), "--dataset", at("weighted1"), "--output", at("model7")],
    ...["--output-dataset", at("weighted2"), ...weight, "--threads", "1"],
  );
  assert.match(stderr, /new: 3 clicks, 1 users/);
});

test("a stopped update says what stays, and goes on with --resume to the same model", async () => {
  const args = (output: string) => [
    ...["update", at("model1"), at("day2.tsv"), "--dataset", at("data1"), "--output", at(output), "--threads", "1"],
    ...["--output-dataset", at(`${output}-data`), "--epochs", "60"],
  ];
  succeeded(...args("whole"));
  const child = spawn(process.execPath, [main, ...args("stopped")]);
  let said = "";
  child.stderr.on("data", (text) => (said += text));
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  while (!existsSync(at("stopped/unfinished/epoch-2"))) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill("SIGINT");
  assert.is(await exit, 130, said);
  assert.match(said, /stopped by SIGINT\. The training up to step \d+ stays in .*--resume/);
  const refused = run(args("stopped"));
  assert.is(refused.status, 1);
  assert.match(refused.stderr, "continue it with --resume");
  assert.not.match(refused.stderr, "stopped-data", "it is refused before the dataset grows");
  const other = run(args("stopped").with(2, at("logs/test.tsv")).concat("--resume"));
  assert.is(other.status, 1);
  assert.match(other.stderr, "the dataset is another one");
  const { stderr } = succeeded(...args("stopped"), "--resume");
  assert.match(stderr, "the training goes on after step");
  for (const member of ["model.safetensors", "state.safetensors"]) {
    assert.equal(readFileSync(at(`stopped/${member}`)), readFileSync(at(`whole/${member}`)), member);
  }
  assert.not.ok(existsSync(at("stopped/unfinished")));
  assert.match(run([...args("stopped"), "--resume"]).stderr, "it holds a finished model");
});

test("what cannot be updated is refused with a way out", () => {
  const refused = (pattern: RegExp, ...args: string[]) => {
    const { status, stderr } = run(args);
    assert.is.not(status, 0);
    assert.match(stderr, pattern);
  };
  const update = ["update", at("model1"), at("day2.tsv"), "--output", at("new")];
  refused(/--dataset/, ...update, "--output-dataset", at("d"));
  refused(/another folder/, ...update, "--dataset", at("data1"), "--output-dataset", at("data1"));
  refused(/beside history/, "prepare", at("day1.tsv"), "--output", at("d"), "--history", "3");
  refused(/no preset/, "train", at("data3"), "--from", at("model1"), "--preset", "paddle", "--output", at("new"));
});

test.run();
