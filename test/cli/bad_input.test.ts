import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { withoutIds } from "../data/temporary.js";
import { run, succeed, temporaryFolder } from "./run.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const GOOD = "u1\tp\tc\ta:x:t1_t2;b:y:t1;c:x:t2\tphone";

test.before(() => {
  succeed("simulate", "--output", folder, "--users", "100", "--items", "60", "--mean-clicks", "8");
  succeed("prepare", at("train.tsv"), "--output", at("dataset"), "--feature-appear-limit", "0");
  succeed("train", at("dataset"), "--output", at("model"), "--steps", "2");
});

/**
 * Expects that the command fails with one readable message that contains these texts, and adds nothing to the folder.
 */
function fails(args: readonly string[], ...texts: string[]): void {
  const before = readdirSync(folder).sort();
  const { status, stdout, stderr } = run(args);
  assert.ok(status === 1 || status === 2, `shortlist ${args.join(" ")} ended with ${status}: ${stdout}${stderr}`);
  assert.is(stdout, "");
  for (const text of texts) assert.match(stderr, text, `expected "${text}" in: ${stderr}`);
  assert.not.match(stderr, /\n\s+at /, `a stack trace: ${stderr}`);
  assert.equal(readdirSync(folder).sort(), before);
}

const prepare = (log: string, ...flags: string[]) => ["prepare", at(log), "--output", at("new"), ...flags];

test("log lines that cannot be read: file, line and field", () => {
  const cases: [string, string | Buffer, ...string[]][] = [
    ["few", `${GOOD}\nu2\tp\tc\n`, "few:2"],
    ["empty-item", `${GOOD}\nu2\tp\tc\ta:x:t;:x:t\tphone\n`, "empty-item:2", "item"],
    ["triple", `u2\tp\tc\ta:x\tphone\n`, "triple:1"],
    [
      "utf8",
      Buffer.concat([Buffer.from(`${GOOD}\nu2\tp\tc\ta:`), Buffer.from([0xff, 0xfe]), Buffer.from(":t\tphone\n")]),
      "utf8:2",
      "UTF-8",
    ],
    ["long", `${GOOD}\nu2\tp\tc\t${"a:x:t;".repeat(3_000_000)}a:x:t\tphone\n`, "long:2", "--max-line-bytes"],
    ["nul", `${GOOD}\nu2\tp\tc\ta\0:x:t\tphone\n`, "nul:2", "field 4 (clicks)", "NUL"],
    ["empty", "", "empty"],
  ];
  for (const [name, content, ...texts] of cases) {
    writeFileSync(at(name), content);
    fails(prepare(name), ...texts);
  }
});

test("--on-bad-line skip counts and lists bad lines", () => {
  writeFileSync(at("mixed"), `${GOOD}\nbad line\n${GOOD.replace("u1", "u2")}\n`);
  const { status, stderr } = run([
    "prepare",
    at("mixed"),
    "--output",
    at("mixed-dataset"),
    "--feature-appear-limit",
    "0",
    "--on-bad-line",
    "skip",
  ]);
  assert.is(status, 0);
  assert.match(stderr, "mixed:2");
  assert.match(stderr, "2 users");
});

test("missing files and folders, and folders that are something else", () => {
  fails(prepare("missing.tsv"), "missing.tsv");
  fails(["train", at("missing"), "--output", at("new")], "missing");
  fails(["evaluate", at("missing"), at("test.tsv")], "missing");
  fails(["evaluate", at("model"), at("missing.tsv")], "missing.tsv");
  fails(["train", at("model"), "--output", at("new")], "dataset");
  fails(["train", at("dataset"), "--output", at("train.tsv/new")], "train.tsv", "not a folder");
  fails(["evaluate", at("dataset"), at("test.tsv")], "model");
  fails(["inspect", at("missing")], "missing");
});

test("a folder that is not a model is never replaced", () => {
  mkdirSync(at("mine"));
  writeFileSync(at("mine/thesis.txt"), "years of work");
  fails(["train", at("dataset"), "--output", at("mine"), "--steps", "1"], "thesis.txt");
  fails(prepare("train.tsv").with(3, at("mine")), "mine");
  assert.is(readFileSync(at("mine/thesis.txt"), "utf8"), "years of work");
});

test("leftovers of a stopped training are removed by the next one", () => {
  mkdirSync(at("stopped"));
  writeFileSync(at("stopped/.epoch-1.partial-1-0123abcd"), "half");
  succeed("train", at("dataset"), "--output", at("stopped"), "--steps", "1");
  assert.not.ok(existsSync(at("stopped/.epoch-1.partial-1-0123abcd")));
});

test("a vocabulary in which nothing survives, a test log whose items are all unknown", () => {
  fails(prepare("train.tsv", "--feature-appear-limit", "1000000"), "--feature-appear-limit");
  fails(prepare("train.tsv", "--feature-appear-limit", "itme=5"), 'Unknown option "itme". Did you mean "item"?');
  fails(prepare("train.tsv", "--feature-appear-limit", "item=few"), "Expected a whole number");
  writeFileSync(at("strange.tsv"), "u1\tp\tc\tzz:x:t;zy:x:t\tphone\n");
  fails(["evaluate", at("model"), at("strange.tsv")], "none of the target items");
  fails(["train", at("dataset"), "--output", at("new"), "--test", at("strange.tsv")], "none of the target items");
});

test("what can be prepared but is hardly meant is said, with shares; a log in which nothing follows teaches nothing", () => {
  const few = readFileSync(at("train.tsv"), "utf8").split("\n").slice(0, 40).join("\n");
  writeFileSync(at("few.tsv"), `${few}\n`);
  const said = run([...prepare("few.tsv").with(3, at("few-dataset")), "--feature-appear-limit", "5"]);
  assert.is(said.status, 0, said.stderr);
  assert.match(said.stderr, 'warning: every value of "user_id" is left out, as it appears at most 5 times');
  assert.match(said.stderr, "Lower --feature-appear-limit (now 5; 0 keeps every value)");
  assert.match(
    said.stderr,
    "  user_id: 0 values and <unk>; left out, as they appear at most 5 times: 40 of 40 values (100.0 %) and 40 of 40 lines (100.0 %)\n",
  );
  assert.match(
    said.stderr,
    /\n {2}item: \d+ values and <unk>; left out.*: \d+ of \d+ values \([\d.]+ %\) and \d+ of \d+ clicks \(/,
  );
  fails(["mine", "users", at("model"), "--users", at("few.tsv")], "The model knows none of the 40 users");

  writeFileSync(at("single.tsv"), Array.from({ length: 30 }, (_, u) => `u${u}\tp\tc\ti${u % 3}:x:t\tm\n`).join(""));
  const single = run([...prepare("single.tsv").with(3, at("single-dataset")), "--feature-appear-limit", "0"]);
  assert.match(single.stderr, "warning: 30 of 30 users have a single click");
  fails(["train", at("single-dataset"), "--output", at("new")], "nothing to learn from", "all clicks of a user");
});

test("configurations: misspelled key, wrong type, size of zero, broken file", () => {
  const train = (...flags: string[]) => ["train", at("dataset"), "--output", at("new"), ...flags];
  fails(train("--set", "learningrate=0.1"), "learningrate", 'Did you mean "learningRate"');
  fails(train("--set", "learning_rat=0.1"), "learningRate");
  fails(train("--set", "draws=many"), "draws", "many");
  fails(train("--set", "hiddenWidths=[0]"), "hiddenWidths");
  fails(train("--set", "userVectorWidth=0"), "userVectorWidth");
  fails(train("--set", 'exclude=["tag"]'), 'Did you mean "tags"');
  fails(train("--set", "embeddingWidths.tag=32"), 'Did you mean "tags"');
  writeFileSync(at("config.json"), "{");
  fails(train("--config", at("config.json")), "config.json", "JSON");
  fails(train("--config", at("no-config.json")), "no-config.json");
  fails(train("--threads", "0"), "threads");
  fails(train("--window", "0"), "window");
  fails(train("--preset", "tensorflow"), "preset");
  fails(train("--validation", "last", "--patience", "-1"), "--patience", "at least 0");
  fails(train("--validation", "last", "--patience", "few"), "--patience", "few");
  fails(train("--patience", "2"), "validation");
  fails(train("--target-epochs", "soon"), "--target-epochs", "soon");
  fails(train("--target-epochs", "auto"), "validation");
  fails(train("--validation", at("missing.tsv")), 'Expected "last" or a click log', "missing.tsv");
});

test("a model file cut short, or with a wrong shape", async () => {
  cpSync(at("model"), at("cut"), { recursive: true });
  truncateSync(at("cut/model.safetensors"), 1000);
  fails(["evaluate", at("cut"), at("test.tsv")], "model.safetensors");
  cpSync(at("model"), at("wrong"), { recursive: true });
  await withoutIds(at("wrong/config.json"));
  const program = readFileSync(at("wrong/program.json"), "utf8");
  writeFileSync(
    at("wrong/program.json"),
    program.replace(/("name":"output.weight","dtype":"float32","shape":\[)\d+/, "$17"),
  );
  fails(["evaluate", at("wrong"), at("test.tsv")], "output.weight");
  cpSync(at("model"), at("half"), { recursive: true });
  writeFileSync(at("half/program.json"), "{}");
  fails(["recommend", at("half"), at("test.tsv")], "program.json");
});

test("an instruction set that the processor lacks, and threads that are none", () => {
  const { status, stderr } = run(["evaluate", at("model"), at("test.tsv")], { SHORTLIST_ISA: "sse9" });
  assert.is(status, 1);
  assert.match(stderr, "sse9");
  for (const text of ["none", "0", "1e1", "1025"]) {
    const threads = run(["evaluate", at("model"), at("test.tsv")], { SHORTLIST_THREADS: text });
    assert.is(threads.status, 1);
    assert.match(threads.stderr, `received SHORTLIST_THREADS="${text}"`);
  }
});

test("a failed training keeps the model that was there", () => {
  const before = readFileSync(at("model/model.safetensors"));
  const args = [
    "train",
    at("dataset"),
    "--output",
    at("model"),
    "--set",
    "learningRate=1e30",
    "--set",
    "optimizer=sgd",
  ];
  const { status, stderr } = run(args);
  assert.is(status, 1);
  assert.match(stderr, "loss");
  assert.ok(before.equals(readFileSync(at("model/model.safetensors"))));
  assert.ok(existsSync(at("model/config.json")));
});

test.run();
