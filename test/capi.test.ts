import { spawnSync } from "node:child_process";
import { cpSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { succeed, temporaryFolder } from "./cli/run.js";

const root = fileURLToPath(new URL("../", import.meta.url));
const build = join(root, "build-capi");
const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

function execute(command: string, ...args: string[]) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", cwd: root });
  return { status, stdout: stdout ?? "", stderr: `${stderr ?? ""}${error?.message ?? ""}` };
}

const recommend = (...args: string[]) => execute(join(build, "recommend"), ...args);

test.before(() => {
  const steps = [
    ["-S", ".", "-B", build, "-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release"],
    ["--build", build, "-j", "2", "--target", "recommend"],
  ];
  for (const args of steps) {
    const { status, stdout, stderr } = execute("cmake", ...args);
    if (status !== 0)
      throw new Error(`cmake ${args.join(" ")} failed (is CMake 3.20 or newer there?):\n${stdout}${stderr}`);
  }
  succeed("simulate", "--output", folder, "--users", "300", "--items", "120", "--mean-clicks", "25");
  succeed("prepare", at("train.tsv"), "--output", at("dataset"), "--feature-appear-limit", "1");
  succeed("train", at("dataset"), "--output", at("model"), "--passes", "1", "--set", "draws=32");
});

test("the C program prints the shortlists of the command line", () => {
  const c = recommend(at("model"), at("infer.tsv"), "10");
  assert.is(c.status, 0, c.stderr);
  const node = succeed("recommend", at("model"), at("infer.tsv"), "--top", "10", "--format", "text");
  const parse = (text: string) =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => line.split(",").map((pair) => pair.split(":")));
  const [ours, theirs] = [parse(c.stdout), parse(node)];
  assert.is(ours.length, 300);
  assert.equal(
    ours.map((line) => line.map(([item]) => item)),
    theirs.map((line) => line.map(([item]) => item)),
  );
  for (const [i, line] of ours.entries()) {
    for (const [j, [, probability]] of line.entries()) {
      assert.ok(Math.abs(Number(probability) - Number(theirs[i]![j]![1])) <= 2e-6, `line ${i + 1}, item ${j + 1}`);
    }
  }
});

test("other features: numbers, unknown tokens, several attributes", () => {
  const schema = {
    columns: [{ name: "age", kind: "number" }, { name: "user_id" }, { name: "clicks" }, { name: "x", kind: "ignore" }],
    click: [{ name: "video" }, { name: "topics", multiple: true }],
  };
  writeFileSync(at("schema.json"), JSON.stringify(schema));
  const lines = Array.from({ length: 50 }, (_, u) => {
    const clicks = Array.from({ length: 4 }, (_, i) => `w${(u * 3 + i) % 11}:t${i}_t${u % 3}`).join(";");
    return `${u % 5 === 0 ? "" : 18.5 + u}\tp${u}\t${clicks}\tanything`;
  });
  writeFileSync(at("log.tsv"), `${lines.join("\n")}\nNULL\tstranger\tnew:other;w1:t1\tz\n`);
  succeed("prepare", at("log.tsv"), "--schema", at("schema.json"), "--output", at("d2"), "--feature-appear-limit", "1");
  succeed("train", at("d2"), "--output", at("m2"), "--passes", "1", "--set", "draws=8", "--set", "history=mean");
  const c = recommend(at("m2"), at("log.tsv"), "3");
  assert.is(c.status, 0, c.stderr);
  assert.is(c.stdout, succeed("recommend", at("m2"), at("log.tsv"), "--top", "3", "--format", "text"));
});

test("a folder that is no model, a file cut short, a broken line: a message and no crash", () => {
  const fails = (text: string, ...args: string[]) => {
    const { status, stdout, stderr } = recommend(...args);
    assert.is(status, 1);
    assert.is(stdout, "");
    assert.match(stderr, text);
  };
  fails("config.json", at("missing"), at("infer.tsv"));
  cpSync(at("model"), at("cut"), { recursive: true });
  truncateSync(join(at("cut"), "model.safetensors"), 500);
  fails("model.safetensors", at("cut"), at("infer.tsv"));
  writeFileSync(at("broken.tsv"), "u1\tp\tc\n");
  fails("5 fields", at("model"), at("broken.tsv"));
});

test.run();
