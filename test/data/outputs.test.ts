import { execFileSync, type StdioOptions, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { lstat, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset, prepareDataset } from "../../src/data/dataset.js";
import { hiddenNameFor, isPartial } from "../../src/data/hidden_names.js";
import { Lock } from "../../src/data/lock.js";
import { type FolderKind, replaceFolder, withOutputFiles, withOutputFolder } from "../../src/data/output_folder.js";
import { openModel, saveModel } from "../../src/model/model.js";
import { writeItemVectors } from "../../src/retrieve/vectors.js";
import { train } from "../../src/train/trainer.js";
import { run, succeed, temporaryFolder } from "../cli/run.js";
import {
  contentsOf,
  ended,
  hiddenIn,
  killAndResume,
  killAtRandom,
  makeInputs,
  prepareArgs,
  SMALL,
  trainings,
  updates,
  versionOf,
  writers,
} from "./kills.js";
import { buildRecorder, losePowerAndResume, losePowerIn, PowerLoss } from "./lost_power.js";
import { expectError } from "./temporary.js";

/** The members of a trained model folder, without epochs. */
const MODEL_MEMBERS = [
  "config.json",
  "history.json",
  "metrics.jsonl",
  "model.safetensors",
  "program.json",
  "report.html",
  "vocabulary",
];

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const hasStrace = spawnSync("strace", ["-V"]).status === 0;
const canMount = process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0;

test.before(() => makeInputs(folder));

// extend writes in the same way as prepare, and update as prepare and train; tune has no output that is replaced as a
// whole.
const OTHERS = ["extend", "update", "tune"];
for (const { name, args, outputs } of writers(folder).filter(({ name }) => !OTHERS.includes(name))) {
  test(`${name}: killed at any rename or link, the names lead to one whole version, and the next run cleans up`, () => {
    if (!hasStrace) {
      console.log("skipped: there is no strace");
      return;
    }
    const out = at(`killed-${name.split(" ")[0]}`);
    mkdirSync(out);
    writeFileSync(join(out, "notes.txt"), "");
    const versionIn = () => versionOf(out, outputs);
    const versions = [0, 1].map((version) => {
      succeed(...args(version, out));
      return versionIn();
    });
    assert.is.not(versions[0], versions[1]);
    // strace counts calls separately for each thread and each kind of call. So there is one thread for asynchronous
    // calls, and one kind of call is traced at a time.
    const env = { ...process.env, UV_THREADPOOL_SIZE: "1" };
    let now = 1;
    for (const call of ["rename", "renameat2", "symlink"]) {
      for (let n = 1, killed = true; killed; n++) {
        // A killed run leaves the previous version or the new one, and a complete run the new one.
        const next = 1 - now;
        const inject = ["-e", `trace=${call}`, "-e", `inject=${call}:signal=KILL:when=${n}`];
        const command = [process.execPath, main, ...args(next, out)];
        const strace = spawnSync("strace", ["-f", "-q", "-o", "/dev/null", ...inject, ...command], { env });
        killed = strace.signal === "SIGKILL" || strace.status === 137;
        const found = versions.indexOf(versionIn());
        assert.ok(found >= 0, `killed at ${call} ${n}: a mixture or nothing`);
        if (!killed) assert.is(found, next, `${n - 1} calls of ${call}: ${strace.stderr}`);
        now = found;
      }
    }
    assert.equal(hiddenIn(out), []);
  });
}

test("killed at random moments, every command leaves whole outputs", async () => {
  for (const writer of writers(folder)) await killAtRandom(writer, at("random"), 2);
});

test("killed at random moments and resumed, a training ends with the model of one that was not", async () => {
  await killAndResume(trainings(folder), at("training"), 6);
});

test("killed at random moments and resumed, an update ends with the model of one that was not", async () => {
  await killAndResume(updates(folder), at("update"), 4);
});

test("power lost at random steps, commands leave whole outputs, and a training goes on", async () => {
  const library = buildRecorder(folder);
  if (!library) {
    console.log("skipped: needs glibc and a C compiler");
    return;
  }
  const power = new PowerLoss(library, folder);
  for (const writer of writers(folder).filter(({ name }) => ["prepare", "vectors"].includes(name))) {
    const some = (all: number) => [1, 2, 3].map(() => 1 + Math.floor(all * Math.random()));
    await losePowerIn(power, writer, at("power"), some);
  }
  losePowerAndResume(power, trainings(folder)[0]!, at("power-resumed"), 2);
});

test("a full disk is an error that names the output, and leaves the old one whole", () => {
  if (!canMount) {
    console.log("skipped: needs root");
    return;
  }
  const program = fileURLToPath(new URL("full_disk.ts", import.meta.url));
  const sample = ["train", "vectors"];
  const command = ["-m", process.execPath, "--import", "tsx", program, folder, "64", ...sample];
  const { status, stdout, stderr } = spawnSync("unshare", command, { encoding: "utf8" });
  assert.is(status, 0, `${stdout}${stderr}`);
  for (const name of sample) assert.match(stdout, new RegExp(`^${name}: the disk was full [1-9]`, "m"));
});

test("readers racing a writer open whole models and datasets, whether folders are exchanged or members", async () => {
  const models = await Promise.all([0, 1].map((version) => openModel(at(`m${version}`), { threads: 1 })));
  const items = models.map((model) => model.items.tokens.join());
  const weights = models.map((model) => model.store.read("output.weight", 0, 64).join());
  await saveModel(models[0]!, at("live"));
  const until = Date.now() + 2000;
  const write = async () => {
    for (let n = 0; Date.now() < until; n++) {
      await saveModel(models[n % 2]!, at("live"));
      if (n % 4 === 0) {
        // As for a folder that cannot be renamed: its members are replaced inside it.
        writeFileSync(at("live/metrics.jsonl"), "");
        await withOutputFolder(at("live"), LIVE, (target) => replaceInside(target, at(`m${n % 2}`)));
      }
    }
  };
  let opens = 0;
  const read = async () => {
    while (Date.now() < until) {
      const model = await openModel(at("live"), { threads: 1 });
      assert.is(
        items.indexOf(model.items.tokens.join()),
        weights.indexOf(model.store.read("output.weight", 0, 64).join()),
      );
      model.close();
      opens++;
    }
  };
  await Promise.all([write(), read(), read()]);
  assert.ok(opens > 5, `${opens} opens`);
});

const LIVE = { name: "model", code: "ERR_MODEL", owns: () => true, description: "config.json" } as const;

async function replaceInside(target: string, from: string): Promise<void> {
  const copy = async (staging: string) => {
    for (const name of ["config.json", "program.json", "model.safetensors", "vocabulary"]) {
      execFileSync("cp", ["-r", join(from, name), staging]);
    }
  };
  await replaceFolder(target, LIVE, copy, (name) => name === "metrics.jsonl");
}

test("who is refused learns who is writing, also in the moment in which the lock is taken", async () => {
  for (let round = 0; round < 100; round++) {
    const both = await Promise.allSettled([0, 1].map(() => Lock.acquire(at("locked"), "locked")));
    for (const one of both) {
      if (one.status === "fulfilled") await one.value.release();
      else assert.match(one.reason.message, `process ${process.pid} on `);
    }
    assert.is(both.filter(({ status }) => status === "fulfilled").length, 1);
  }
});

test("what is being written is refused to a second writer, in this process and in others, and free after a kill", async () => {
  const options = { logs: [at("logs/train.tsv")], output: at("busy"), featureAppearLimit: 0 };
  const both = await Promise.allSettled([prepareDataset(options), prepareDataset(options)]);
  const refused = both.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
  assert.is(refused.length, 1);
  assert.is(refused[0].code, "ERR_BUSY");
  assert.match(refused[0].message, `process ${process.pid} on `);
  await openDataset(at("busy"));

  const args = ["train", at("ds0"), "--epochs", "1000", ...SMALL, "--output", at("long")];
  const child = spawn(process.execPath, [main, ...args], { stdio: "ignore" });
  while (!readdirSync(folder).includes("long")) await new Promise((resolve) => setTimeout(resolve, 20));
  const second = run(args);
  assert.is(second.status, 1);
  assert.match(second.stderr, `process ${child.pid} on `);
  assert.match(second.stderr, "shortlist train");
  await expectError(train({ dataset: at("ds0"), output: at("long"), steps: 1 }), "ERR_BUSY", "is writing it");
  child.kill("SIGKILL");
  await ended(child);
  succeed("train", at("ds0"), "--output", at("long"), "--steps", "1", "--restart", ...SMALL);
  assert.equal(hiddenIn(at("long")), []);
});

test("a stopped training writes a checkpoint, says how to go on, and has the shell's exit code", async () => {
  const args = ["train", at("ds0"), "--epochs", "200", ...SMALL, "--validation", "last", "--patience", "0"];
  succeed(...args, "--output", at("whole"));
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    const output = at(`stopped-${signal}`);
    const child = spawn(process.execPath, [main, ...args, "--output", output]);
    let said = "";
    child.stderr.on("data", (text) => (said += text));
    const exit = ended(child);
    while (!existsSync(join(output, "unfinished/epoch-2"))) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill(signal);
    assert.is((await exit).code, code, said);
    assert.match(said, `stopping after this step (${signal})`);
    const [, step] = new RegExp(`stopped by ${signal}\\. The training up to step (\\d+) stays in .*--resume`).exec(
      said,
    )!;
    assert.ok(existsSync(join(output, `unfinished/checkpoint-${step}.safetensors`)), said);
    assert.equal(hiddenIn(output), []);
    (await openModel(join(output, "unfinished/epoch-1"), { threads: 1 })).close();
    assert.match(run([...args, "--output", output]).stderr, "continue it with --resume");
    const resumed = run([...args, "--output", output, "--resume"]);
    assert.is(resumed.status, 0, resumed.stderr);
    assert.match(resumed.stderr, `the training goes on after step ${step}`);
    assert.is(versionOf(output, ["model.safetensors"]), versionOf(at("whole"), ["model.safetensors"]));
    assert.not.ok(existsSync(join(output, "unfinished")));
  }
  assert.equal(
    readdirSync(folder).filter((name) => name.startsWith(".")),
    [],
  );
});

test("a second signal ends a training at once", async () => {
  const output = at("stopped-twice");
  const args = ["train", at("ds0"), "--epochs", "1000", ...SMALL, "--checkpoint-every", "never", "--output", output];
  const child = spawn(process.execPath, [main, ...args]);
  const exit = ended(child);
  while (!existsSync(join(output, "unfinished/epoch-1"))) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill("SIGSTOP");
  for (const signal of ["SIGINT", "SIGTERM", "SIGCONT"] as const) child.kill(signal);
  const { code, signal } = await exit;
  assert.ok(code === 143 || code === 130 || signal === "SIGINT", `${code} ${signal}`);
  assert.match(run(["train", at("ds0"), ...SMALL, "--output", output]).stderr, "no checkpoint");
});

test("links, modes, pipes and devices of file outputs stay what they are", async () => {
  const model = await openModel(at("m0"), { threads: 1 });
  writeFileSync(at("private"), "old");
  chmodSync(at("private"), 0o600);
  await writeItemVectors(model, { output: at("private") });
  assert.is((await stat(at("private"))).mode & 0o777, 0o600);
  const text = await readFile(at("private"), "utf8");
  assert.is(text.split("\n").length, model.items.size);

  writeFileSync(at("target"), "old");
  symlinkSync("target", at("link"));
  symlinkSync("fresh", at("dangling"));
  for (const [link, target] of [
    ["link", "target"],
    ["dangling", "fresh"],
  ] as const) {
    await writeItemVectors(model, { output: at(link) });
    assert.is(await readlink(at(link)), target);
    assert.is(await readFile(at(target), "utf8"), text);
  }
  execFileSync("mkfifo", [at("pipe")]);
  const reader = spawn("cat", [at("pipe")]);
  let read = "";
  reader.stdout.on("data", (chunk) => (read += chunk));
  const closed = ended(reader);
  await writeItemVectors(model, { output: at("pipe") });
  await closed;
  assert.is(read, text);
  assert.ok((await lstat(at("pipe"))).isFIFO());
  model.close();
});

test("a model that is extended in its own folder keeps its epochs and metrics", () => {
  const args = ["--epochs", "1", "--threads", "1", ...SMALL];
  succeed("train", at("ds0"), "--output", at("extended"), ...args);
  cpSync(at("extended/epoch-1"), at("extended/pass-1"), { recursive: true }); // what versions before 2 called it
  const kept = ["epoch-1", "metrics.jsonl", "pass-1"];
  for (const to of ["extended", "extended-copy"]) {
    succeed("extend", at("extended"), at("logs/test.tsv"), "--dataset", at("ds0"), "--output", at(to));
    assert.equal(
      readdirSync(at(to)).filter((name) => kept.includes(name)),
      to === "extended" ? kept : [],
    );
  }
  succeed("train", at("ds0"), "--output", at("extended"), ...args);
  assert.equal(
    readdirSync(at("extended")).filter((name) => kept.includes(name)),
    ["epoch-1", "metrics.jsonl"],
    "a new training removes what an older one left",
  );
});

test("what is made in an output folder that passes its group on has that group", () => {
  if (process.getuid?.() !== 0) {
    console.log("skipped: only root gives folders to other groups");
    return;
  }
  mkdirSync(at("group"));
  chownSync(at("group"), 0, 65534);
  chmodSync(at("group"), 0o2775);
  succeed(...prepareArgs(folder, 0), at("group"));
  for (const name of ["", "dataset.json", "vocabulary", "vocabulary/item.tsv"]) {
    assert.is(statSync(at(join("group", name))).gid, 65534, name);
  }
});

test("links and modes of output folders stay what they are, also of a link that leads to nothing yet", () => {
  symlinkSync("led-to", at("link-to-folder"));
  for (const version of [0, 1]) {
    succeed(...prepareArgs(folder, version), at("link-to-folder"));
    assert.is(readlinkSync(at("link-to-folder")), "led-to");
    assert.is(contentsOf(at("led-to")), contentsOf(at(`ds${version}`)));
    if (version === 0) chmodSync(at("led-to"), 0o2710);
  }
  assert.is(statSync(at("led-to")).mode & 0o7777, 0o2710);
});

test("a full disk below standard output is an error, a reader that goes is none", () => {
  const log = at("logs/infer.tsv");
  if (existsSync("/dev/full")) {
    const full = openSync("/dev/full", "w");
    const stdio: StdioOptions = ["ignore", full, "pipe"];
    const { status, stderr } = spawnSync(process.execPath, [main, "recommend", at("m0"), log], {
      stdio,
      encoding: "utf8",
    });
    closeSync(full);
    assert.is(status, 1);
    assert.is(stderr, "error: Cannot write to standard output: the disk is full\n");
  }
  const pipe = `"$0" "$@" | head -1; exit \${PIPESTATUS[0]}`;
  const gone = spawnSync("bash", ["-c", pipe, process.execPath, main, "recommend", at("m0"), log], {
    encoding: "utf8",
  });
  assert.equal([gone.status, gone.stderr], [0, ""]);
  if (!canMount) return;
  const script = 'mount -t tmpfs -o size=16k none "$0" && "$@" > "$0/out"';
  mkdirSync(at("small"));
  const args = [at("small"), process.execPath, main, "recommend", at("m0"), log, "--top", "40"];
  const cut = spawnSync("unshare", ["-m", "bash", "-c", script, ...args], { encoding: "utf8" });
  assert.equal([cut.status, cut.stderr], [1, "error: Cannot write to standard output: the disk is full\n"]);
});

test("a folder that is not to be renamed is written inside: the current one, and one with epochs", () => {
  mkdirSync(at("current"));
  const before = statSync(at("current")).ino;
  const [dataset, model] = [at("ds0"), [main, "train"]];
  const { status, stderr } = spawnSync(
    process.execPath,
    [...model, dataset, "--output", ".", "--epochs", "1", ...SMALL],
    {
      cwd: at("current"),
      encoding: "utf8",
    },
  );
  assert.is(status, 0, stderr);
  assert.is(statSync(at("current")).ino, before);
  assert.equal(readdirSync(at("current")).sort(), [...MODEL_MEMBERS, "epoch-1"].sort());
  mkdirSync(at("standing"));
  for (const version of [0, 1]) {
    const { status, stderr } = spawnSync(process.execPath, [main, ...prepareArgs(folder, version), "."], {
      cwd: at("standing"),
      encoding: "utf8",
    });
    assert.is(status, 0, stderr);
    assert.is(contentsOf(at("standing")), contentsOf(at(`ds${version}`)));
  }
});

test("mount points, sticky folders and folders of others are written inside", () => {
  if (!canMount) {
    console.log("skipped: needs root");
    return;
  }
  mkdirSync(at("mounted"));
  const prepare = [process.execPath, main, ...prepareArgs(folder, 0)];
  const script = 'mount -t tmpfs none "$0" && "$@" "$0" && cat "$0/dataset.json" && ls -A "$0"';
  const mounted = spawnSync("unshare", ["-m", "bash", "-c", script, at("mounted"), ...prepare], { encoding: "utf8" });
  assert.is(mounted.status, 0, mounted.stderr);
  assert.not.match(mounted.stdout, ".members");

  chmodSync(folder, 0o755);
  for (const [parent, mode] of [
    ["sticky", 0o1777],
    ["owned", 0o755],
  ] as const) {
    mkdirSync(at(`${parent}/model`), { recursive: true });
    chmodSync(at(parent), mode);
    chmodSync(at(`${parent}/model`), 0o777);
    const train = [main, "train", at("ds0"), "--epochs", "2", ...SMALL, "--output", at(`${parent}/model`)];
    const { status, stderr } = spawnSync(process.execPath, train, { uid: 65534, gid: 65534, encoding: "utf8" });
    assert.is(status, 0, stderr);
    assert.equal(readdirSync(at(`${parent}/model`)).sort(), [...MODEL_MEMBERS, "epoch-1", "epoch-2"].sort());
  }
});

test("outputs that cannot be written are refused before the work, in one line", () => {
  writeFileSync(at("file"), "");
  const long = "b".repeat(250);
  const fails = (output: string, text: string) => {
    for (const args of [
      ["train", at("ds0"), ...SMALL],
      ["prepare", at("logs/train.tsv"), "--feature-appear-limit", "0"],
      ["simulate"],
      ["extend", at("m0"), at("logs/train.tsv"), "--dataset", at("ds0")],
      ["vectors", "items", at("m0")],
    ]) {
      const { status, stderr } = run([...args, "--output", output]);
      assert.ok(status === 1 || status === 2, `${args[0]}: ${stderr}`);
      assert.match(stderr, /^error: .*\n(\(add --help.*\n)?$/, args[0]!);
      assert.match(stderr, text, args[0]!);
    }
  };
  fails(join(at("file"), "x"), "not a folder");
  fails("/proc/shortlist", "no file can be made there");
  fails(at("c".repeat(300)), "name is too long");
  succeed("prepare", at("logs/train.tsv"), "--feature-appear-limit", "0", "--output", at(long));
  assert.equal(
    readdirSync(folder).filter((name) => name.startsWith(".")),
    [],
  );
});

test("where the last step fails, finished work stays under a name that the error says", async () => {
  const target = at("late");
  let rescued = "";
  const write = async (staging: string) => {
    writeFileSync(join(staging, "result"), "hours of work");
    // Meanwhile, somebody else creates a file there.
    writeFileSync(target, "in the way");
  };
  const message = await expectError(
    withOutputFolder(target, LIVE, () => replaceFolder(target, LIVE, write)).then(() => {
      throw new Error("nothing failed");
    }),
    "ERR_FILE",
    "is finished and stays in",
  );
  rescued = /stays in (.*)$/.exec(message)![1]!;
  assert.is(readFileSync(join(rescued, "result"), "utf8"), "hours of work");
  assert.is(readFileSync(target, "utf8"), "in the way");
});

test("an output file never replaces a part of a folder that it would break", async () => {
  const kind: FolderKind = {
    name: "model",
    code: "ERR_MODEL",
    owns: (name) => ["config.json", "weights", "vocabulary"].includes(name),
    description: "config.json",
  };
  mkdirSync(join(at("whole"), "vocabulary"), { recursive: true });
  for (const name of ["config.json", "weights", "vocabulary/item.tsv"]) writeFileSync(join(at("whole"), name), name);
  symlinkSync(join(at("whole"), "weights"), at("vectors_link"));
  const write = (path: string) => withOutputFiles([path], [kind], async () => writeFileSync(path, "vectors"));
  for (const path of [join(at("whole"), "weights"), join(at("whole"), "vocabulary/item.tsv"), at("vectors_link")]) {
    await expectError(write(path), "ERR_MODEL", `Refused to replace ${path}: it is a part of the model`);
  }
  assert.is(readFileSync(join(at("whole"), "weights"), "utf8"), "weights");
  await write(join(at("whole"), "vectors.npy"));
  mkdirSync(at("no_model"));
  await write(join(at("no_model"), "weights"));
});

test("leftovers of killed runs go with the next run of that name, and only of that name", async () => {
  mkdirSync(at("clean"));
  const [file, other] = [join(at("clean"), "v.npy"), join(at("clean"), "w.npy")];
  writeFileSync(hiddenNameFor(file), "half");
  mkdirSync(join(hiddenNameFor(file), "new"), { recursive: true });
  writeFileSync(hiddenNameFor(other), "half");
  writeFileSync(join(at("clean"), ".v.npy.lock"), "{");
  await withOutputFiles([file], [], async () => undefined);
  const left = readdirSync(at("clean"));
  assert.is(left.length, 1);
  assert.ok(isPartial(left[0]!) && left[0]!.startsWith(".w.npy."));
  const lock = await Lock.acquire(file, file);
  await expectError(
    withOutputFiles([file], [], async () => undefined),
    "ERR_BUSY",
    "v.npy",
  );
  await lock.release();
});

test.run();
