// Kills commands while they write: here at random moments, in outputs.test.ts at every rename. To kill each command 200
// times: node --import tsx test/data/kills.ts 200

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { openDataset } from "../../src/data/dataset.js";
import { openModel } from "../../src/model/model.js";
import { openIndex } from "../../src/retrieve/item_index.js";
import { succeed, temporaryFolder } from "../cli/run.js";
import { HAS_USEARCH } from "../retrieve/index_files.js";
import { events, HAS_DUCKDB, textOf } from "./table_files.js";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
export const SMALL = [
  "--threads",
  "1",
  "--set",
  "lstmWidth=8",
  "userVectorWidth=8",
  "hiddenWidths=[8]",
  "batchSize=64",
];

/** Makes two versions of everything: datasets ds0 and ds1, models m0 and m1. */
export function makeInputs(folder: string): void {
  const at = (name: string) => join(folder, name);
  succeed("simulate", "--output", at("logs"), "--users", "60", "--items", "50");
  for (const version of [0, 1]) {
    succeed(...prepareArgs(folder, version), at(`ds${version}`));
    succeed("train", at(`ds${version}`), "--output", at(`m${version}`), "--epochs", "2", ...SMALL);
  }
  writeFileSync(at("space.json"), '{"learningRate":[0.001,0.01]}');
  for (const version of [0, 1]) writeFileSync(at(`events${version}.csv`), textOf(events(40 + version), ","));
}

export interface Writer {
  readonly name: string;
  /** Arguments with which the command writes version 0 or 1 of its output into a folder. */
  readonly args: (version: number, out: string) => string[];
  /** Paths that must always be of the same version. Empty for a command that continues what an earlier run began. */
  readonly outputs: readonly string[];
  /** Checks what else must be true after a kill. */
  readonly check?: (out: string) => Promise<void>;
}

/** Arguments of `prepare` for a version, without the output path at their end. */
export function prepareArgs(folder: string, version: number): string[] {
  const log = join(folder, `logs/${["train", "test"][version]}.tsv`);
  return ["prepare", log, "--feature-appear-limit", "0", "--output"];
}

const MODEL = ["config.json", "program.json", "model.safetensors", "vocabulary"];

export function writers(folder: string): Writer[] {
  const at = (name: string) => join(folder, name);
  return [
    { name: "prepare", args: (version, out) => [...prepareArgs(folder, version), join(out, "d")], outputs: ["d"] },
    ...(HAS_DUCKDB
      ? [
          {
            name: "table",
            args: (version: number, out: string) => [
              ...["prepare", at(`events${version}.csv`), "--output", join(out, "t")],
            ],
            outputs: ["t"],
          },
        ]
      : []),
    {
      name: "simulate",
      args: (version, out) => ["simulate", "--users", "20", "--items", "50", "--seed", `${version}`, "--output", out],
      outputs: ["train.tsv", "test.tsv", "infer.tsv"],
    },
    {
      name: "vectors",
      args: (version, out) => [
        "vectors",
        "items",
        at(`m${version}`),
        "--format",
        "npy",
        "--output",
        join(out, "v.npy"),
      ],
      outputs: ["v.npy", "v.npy.tokens.txt", "v.npy.json"],
    },
    {
      name: "mine",
      args: (version, out) => [
        ...["mine", "similar", at(`m${version}`), "--output", join(out, "similar.jsonl"), "--threads", "1"],
        // Half of the kills are followed by a run that continues.
        ...(version === 0 ? ["--resume"] : []),
      ],
      outputs: ["similar.jsonl"],
    },
    {
      name: "export",
      args: (version, out) => ["export", at(`m${version}`), "--output", join(out, "onnx")],
      outputs: ["onnx"],
    },
    ...(HAS_USEARCH
      ? [
          {
            name: "index",
            args: (version: number, out: string) => [
              ...["index", "build", at(`m${version}`), "--output", join(out, "i"), "--threads", "1"],
            ],
            // The file beside it has measured speeds; opening checks that it belongs to the graph.
            outputs: ["i/items.usearch"],
            check: async (out: string) => {
              const { model: id } = JSON.parse(readFileSync(join(out, "i", "index.json"), "utf8"));
              for (const version of [0, 1]) {
                const model = await openModel(at(`m${version}`), { threads: 1 });
                if (model.id === id) (await openIndex(join(out, "i"), model)).close();
                model.close();
              }
            },
          },
        ]
      : []),
    {
      name: "extend",
      args: (version, out) => [
        ...[
          "extend",
          at(`m${version}`),
          at("logs/test.tsv"),
          "--dataset",
          at(`ds${version}`),
          "--output",
          join(out, "m"),
        ],
      ],
      outputs: MODEL.map((name) => `m/${name}`),
    },
    {
      name: "train",
      // The version alternates, so an unfinished training is given up. `killAndResume` resumes it.
      args: (version, out) => [
        ...["train", at(`ds${version}`), "--epochs", "1", ...SMALL, "--output", join(out, "m"), "--restart"],
      ],
      outputs: MODEL.map((name) => `m/${name}`),
      check: async (out) => {
        (await openModel(join(out, "m", "epoch-1"), { threads: 1 })).close();
      },
    },
    {
      name: "update",
      args: (version, out) => [
        ...["update", at(`m${version}`), at("logs/infer.tsv"), "--dataset", at(`ds${version}`), "--threads", "1"],
        ...["--output", join(out, "m"), "--output-dataset", join(out, "d"), "--restart"],
      ],
      outputs: MODEL.map((name) => `m/${name}`),
      check: async (out) => {
        if (existsSync(join(out, "d"))) await openDataset(join(out, "d"));
      },
    },
    {
      name: "report",
      args: (version, out) => ["report", at(`m${version}`), "--output", join(out, "report.html"), "--threads", "1"],
      outputs: ["report.html"],
    },
    {
      name: "compare",
      args: (version, out) => [
        ...["compare", at("m0"), at("m1"), "--test", at("logs/test.tsv"), "--seed", `${version}`, "--threads", "1"],
        ...["--output", join(out, "compare.html")],
      ],
      outputs: ["compare.html"],
    },
    {
      name: "tune",
      args: (_, out) => [
        ...["tune", at("ds0"), "--space", at("space.json"), "--output", join(out, "t"), ...SMALL],
        ...["--trials", "2", "--halvings", "0", "--epochs", "1"],
      ],
      outputs: [],
      check: async (out) => {
        const lines = (name: string) =>
          existsSync(join(out, "t", name)) ? readFileSync(join(out, "t", name), "utf8") : "";
        for (const line of lines("trials.jsonl").split("\n").filter(Boolean)) JSON.parse(line);
        if (lines("best.json")) JSON.parse(lines("best.json"));
      },
    },
  ];
}

/** Digest of the contents of a folder or file, without hidden names. */
export function contentsOf(path: string): string {
  const hash = createHash("sha256");
  const add = (name: string) => {
    hash.update(name);
    if (!statSync(join(path, name)).isDirectory()) return hash.update(readFileSync(join(path, name)));
    for (const member of readdirSync(join(path, name)).sort()) {
      if (!member.startsWith(".")) add(join(name, member));
    }
  };
  add("");
  return hash.digest("hex");
}

export function versionOf(out: string, outputs: readonly string[]): string {
  return outputs.map((output) => contentsOf(join(out, output))).join();
}

export function hiddenIn(path: string): string[] {
  return (readdirSync(path, { recursive: true }) as string[]).filter((name) => /(^|\/)\./.test(name));
}

export function ended(child: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
  return new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
}

/**
 * Kills a command `kills` times at random moments, and checks that its outputs are complete each time, and that a
 * complete run leaves no other files.
 */
export async function killAtRandom(writer: Writer, out: string, kills: number): Promise<void> {
  const { name, args, outputs, check } = writer;
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out);
  // A file of somebody else, which must remain.
  writeFileSync(join(out, "notes.txt"), "");
  let longest = 0;
  const versions = [0, 1].map((version) => {
    const started = performance.now();
    succeed(...args(version, out));
    longest = Math.max(longest, performance.now() - started);
    return versionOf(out, outputs);
  });
  for (let n = 0; n < kills; n++) {
    if (outputs.length === 0) rmSync(join(out, "t"), { recursive: true, force: true });
    const child = spawn(process.execPath, [main, ...args(n % 2, out)], { stdio: "ignore" });
    const exit = ended(child);
    await pause(Math.random() * longest);
    child.kill("SIGKILL");
    await exit;
    assert.ok(versions.includes(versionOf(out, outputs)), `${name}, kill ${n + 1}: a mixture or nothing`);
    await check?.(out);
  }
  // Version 1 first, since an interrupted run of it is not resumed by one of version 0.
  for (const version of [1, 0]) {
    succeed(...args(version, out));
    assert.is(versionOf(out, outputs), versions[version]);
    assert.equal(hiddenIn(out), [], name);
  }
}

/** A command that goes on with `--resume` from its last checkpoint. */
export interface Resumable {
  readonly name: string;
  /** Arguments with which it writes a model to `output`, on any number of threads. */
  readonly args: (output: string) => string[];
}

/** Trainings with different batches, and with different times of checkpoints. */
export function trainings(folder: string): Resumable[] {
  return [
    ["--batching", "shared", "--windows", "growing", "--checkpoint-every", "7"],
    ["--batching", "shuffled", "--windows", "sliding", "--checkpoint-every", "20ms"],
    ["--batching", "shared", "--set", "dropout=0.5", "optimizer=adagrad", "--checkpoint-every", "epoch"],
    ["--set", "learningRate=0.03", "--checkpoint-every", "9", "--target-epochs", "auto"],
  ].map((flags) => ({
    name: flags.join(" "),
    args: (output) => [
      ...["train", join(folder, "ds0"), "--validation", "last", "--patience", "3", ...SMALL.slice(2), ...flags],
      ...["--epochs", "6", "--output", output],
    ],
  }));
}

/** Updates of a model with the optimizer's state. */
export function updates(folder: string): Resumable[] {
  const at = (name: string) => join(folder, name);
  if (!existsSync(at("state"))) {
    succeed("train", at("ds0"), "--output", at("state"), "--epochs", "1", "--keep-state", ...SMALL);
  }
  return ["7", "20ms", "epoch"].map((when) => ({
    name: `update, --checkpoint-every ${when}`,
    args: (output) => [
      ...["update", at("state"), at("logs/infer.tsv"), "--dataset", at("ds0"), "--epochs", "6", "--half-life", "3"],
      ...["--checkpoint-every", when, "--output-dataset", `${output}-data`, "--output", output],
    ],
  }));
}

/**
 * Kills resumable commands `kills` times at random moments and resumes them each time, on 1 or 2 threads. Checks that
 * each ends with the model of one that was not killed.
 */
export async function killAndResume(commands: readonly Resumable[], out: string, kills: number): Promise<void> {
  let killed = 0;
  for (let n = 0; killed < kills; n++) {
    const { name, args } = commands[n % commands.length]!;
    const [whole, output] = [`${out}-whole-${n % commands.length}`, `${out}-killed`];
    const started = performance.now();
    if (!existsSync(whole)) succeed(...args(whole), "--threads", "1");
    const longest = Math.max(1500, performance.now() - started);
    for (let finished = false; !finished; ) {
      const threads = `${1 + Math.floor(2 * Math.random())}`;
      const resume = [...args(output), "--resume", "--threads", threads];
      const child = spawn(process.execPath, [main, ...resume], { stdio: ["ignore", "ignore", "pipe"] });
      let said = "";
      child.stderr!.on("data", (text) => (said += text));
      const exit = ended(child);
      const timer = killed < kills && setTimeout(() => child.kill("SIGKILL"), Math.random() * longest);
      const { code, signal } = await exit;
      if (timer) clearTimeout(timer);
      if (signal === "SIGKILL") killed++;
      // Killed after its model was in place, the training is finished.
      finished = code === 0 || said.includes("it holds a finished model");
      assert.ok(finished || signal === "SIGKILL", said);
    }
    for (const member of ["model.safetensors", "state.safetensors"]) {
      if (existsSync(join(whole, member))) assert.is(versionOf(output, [member]), versionOf(whole, [member]), name);
    }
    assert.not.ok(existsSync(join(output, "unfinished")));
    assert.equal(hiddenIn(output), []);
    for (const path of [output, `${output}-data`]) rmSync(path, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = temporaryFolder();
  const kills = Number(process.argv[2] ?? 200);
  makeInputs(folder);
  for (const writer of writers(folder)) {
    await killAtRandom(writer, join(folder, "out"), kills);
    console.log(`${writer.name}: ${kills} kills, whole each time`);
  }
  for (const [name, commands] of Object.entries({ train: trainings(folder), update: updates(folder) })) {
    await killAndResume(commands, join(folder, `resumed-${name}`), kills);
    console.log(`${name} --resume: ${kills} kills, the same model each time`);
  }
}
