import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { clickLogOf, events, HAS_DUCKDB, textOf } from "../data/table_files.js";
import { main, run, succeed, temporaryFolder } from "./run.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const tables = HAS_DUCKDB ? test : test.skip;
const canMount = process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0;
writeFileSync(at("events.csv"), textOf(events(), ","));

tables("--dry-run prints what was understood, and writes nothing", () => {
  const before = readdirSync(folder).sort();
  const lines = succeed("prepare", at("events.csv"), "--where", "rating >= 2", "--dry-run").trimEnd().split("\n");
  assert.is(lines[0], `${at("events.csv")}: text with commas between columns, where rating >= 2`);
  assert.match(lines[1]!, /^column +meaning +values +missing$/);
  assert.match(lines[2]!, /^user_id +user +\d+, \d+, \d+$/);
  assert.match(lines[3]!, /^item_id +item +/);
  assert.match(lines[4]!, /^rating +not used +/);
  assert.match(lines[5]!, /^timestamp +time in milliseconds +16\d+, 16\d+, 16\d+$/);
  assert.is(lines.length, 6);
  assert.equal(readdirSync(folder).sort(), before);
});

tables("what --dry-run --json prints is a source, which the command line overrules", () => {
  writeFileSync(at("source.json"), succeed("prepare", at("events.csv"), "--dry-run", "--json"));
  succeed("prepare", "--source", at("source.json"), "--output", at("a"));
  succeed("prepare", at("events.csv"), "--output", at("b"));
  for (const member of ["dataset.json", "clicks.safetensors"]) {
    assert.ok(readFileSync(at(`a/${member}`)).equals(readFileSync(at(`b/${member}`))), member);
  }
  const flags = ["--time", "rating", "--dry-run"];
  assert.match(succeed("prepare", "--source", at("source.json"), ...flags), /rating +time as a number/);
  assert.not.match(succeed("prepare", at("events.csv"), "--no-time", "--dry-run"), "time in");
});

tables("a model takes two commands", () => {
  const prepared = run(["prepare", at("events.csv"), "--output", at("dataset")]);
  assert.is(prepared.status, 0, prepared.stderr);
  assert.match(prepared.stderr, /timestamp +time in milliseconds/);
  assert.match(prepared.stderr, /dataset: 40 users, 200 clicks/);
  succeed("train", at("dataset"), "--output", at("model"), "--steps", "2", "--threads", "1", "--set", "lstmWidth=8");
});

tables("--click-number names columns with numbers that the network reads", () => {
  const flags = ["--click-number", "rating", "--click-number", "timestamp"];
  const prepared = run(["prepare", at("events.csv"), "--output", at("numbers"), ...flags]);
  assert.is(prepared.status, 0, prepared.stderr);
  assert.match(prepared.stderr, /rating +number +/);
  assert.match(prepared.stderr, /rating: numbers from 1 to 5, on average \d/);
  assert.match(prepared.stderr, /timestamp: numbers from \d/);
  const model = ["--output", at("numbers.model"), "--steps", "2", "--threads", "1", "--set", "lstmWidth=8"];
  assert.is(run(["train", at("numbers"), ...model]).status, 0);
  writeFileSync(at("source.json"), succeed("prepare", at("events.csv"), ...flags, "--dry-run", "--json"));
  assert.match(succeed("prepare", "--source", at("source.json"), "--dry-run"), /rating +number +/);
});

tables("--weight names the column by which training weights the events", () => {
  const flags = ["--weight", "rating", "--holdout", "last"];
  const prepared = run(["prepare", at("events.csv"), "--output", at("weighted"), ...flags]);
  assert.is(prepared.status, 0, prepared.stderr);
  assert.match(prepared.stderr, /rating +weight +/);
  assert.match(prepared.stderr, /weights from 1 to 5, on average \d/);
  const model = ["--output", at("weighted.model"), "--steps", "2", "--threads", "1", "--set", "lstmWidth=8"];
  assert.is(run(["train", at("weighted"), ...model]).status, 0);
  writeFileSync(at("source.json"), succeed("prepare", at("events.csv"), "--weight", "rating", "--dry-run", "--json"));
  assert.match(succeed("prepare", "--source", at("source.json"), "--dry-run"), /rating +weight +/);
});

tables("--holdout and --split-time prepare what train evaluates on", () => {
  for (const flags of [
    ["--holdout", "last"],
    ["--split-time", "2020-09-13T12:40:00Z"],
  ]) {
    const { status, stderr } = run(["prepare", at("events.csv"), "--output", at("split"), ...flags]);
    assert.is(status, 0, stderr);
    assert.match(stderr, /held out: an event of each of \d+ users, in .*split\/test\.tsv, on which train evaluates/);
    const args = ["--output", at("model"), "--steps", "2", "--threads", "1", "--set", "lstmWidth=8"];
    for (const test of [[], ["--test", at("split/test.tsv")]]) {
      const trained = run(["train", at("split"), ...test, ...args]);
      assert.is(trained.status, 0, trained.stderr);
      assert.match(trained.stderr, /\d+ users, MRR/);
      assert.not.match(trained.stderr, "warning");
      assert.is(trained.stderr.includes(`evaluated on ${at("split/test.tsv")}`), test.length === 0);
    }
    const without = run(["train", at("split"), "--no-test", ...args]);
    assert.is(without.status, 0, without.stderr);
    assert.not.match(without.stderr, "MRR");
  }
  const { status, stderr } = run(["prepare", at("events.csv"), "--output", at("split"), "--split-time", "soon"]);
  assert.is(status, 2);
  assert.match(stderr, "Expected a date such as 2026-11-28 or a number");
});

test("--holdout and --split-time hold clicks of a click log out", () => {
  const schema =
    '{"columns":[{"name":"user_id"},{"name":"clicks"}],"click":[{"name":"item"},{"name":"t","kind":"time"}]}';
  writeFileSync(at("timed.json"), schema);
  writeFileSync(at("timed.tsv"), "u1\ta:1;b:2;c:3\nu2\tb:1;c:2;a:9\nu3\ta:4;c:5;b:6\n");
  const prepare = (...flags: string[]) =>
    run(["prepare", at("timed.tsv"), "--schema", at("timed.json"), "--output", at("timed"), ...flags]);
  const last = prepare("--holdout", "last");
  assert.match(
    last.stderr,
    /timed: 3 users, 6 clicks\n[\s\S]*held out: an event of each of 3 users, in .*timed\/test\.tsv/,
  );
  assert.match(prepare("--split-time", "3").stderr, "timed: 2 users, 4 clicks");
  assert.is(readFileSync(at("timed/test.tsv"), "utf8"), "u1\ta:1;b:2;c:3\nu2\tb:1;c:2;a:9\n");
  assert.match(prepare("--split-time", "2026-11-28").stderr, "the times are from 1 to 9");
});

tables("a model is extended by a table of items, and shows titles", () => {
  const kinds = Array.from(
    { length: 8 },
    (_, i) => `${["7", "007", "a b", "B00-1", "n1", "n2", "x1", "x2"][i]},Item ${i},${["new", "old"][i % 2]}`,
  );
  writeFileSync(at("items.csv"), ["item_id,title,kind", ...kinds.slice(0, 6), ""].join("\n"));
  const tables_ = ["--items", at("items.csv"), "--output", at("titled")];
  const prepared = run(["prepare", at("events.csv"), ...tables_]);
  assert.match(prepared.stderr, /title +title +Item 0, Item 1, Item 2/);
  assert.match(prepared.stderr, "2 new items, without events");
  succeed("train", at("titled"), "--output", at("titled.m"), "--steps", "2", "--threads", "1", "--set", "lstmWidth=8");
  writeFileSync(at("more.csv"), ["item_id,title,kind", ...kinds.slice(4), ""].join("\n"));
  const extended = run(["extend", at("titled.m"), at("more.csv"), "--output", at("titled.m")]);
  assert.match(extended.stderr, "titled.m: 2 new items\n");
  assert.match(succeed("inspect", at("titled.m")), "12 items, 4 of them added without training, 8 with a title");
  writeFileSync(at("one-user.tsv"), "1\t7:new:5\n");
  assert.match(succeed("recommend", at("titled.m"), at("one-user.tsv"), "--format", "text"), /x1 "Item 6":0\.\d+/);
  const [shortlist] = succeed("recommend", at("titled.m"), at("one-user.tsv")).split("\n");
  assert.is(JSON.parse(shortlist!).items.find(({ item }: { item: string }) => item === "n2").title, "Item 5");
});

tables("standard input is a table or a click log", () => {
  mkdirSync(at("in"));
  const through = (input: string | Buffer, ...args: string[]) => {
    const { status, stderr } = spawnSync(process.execPath, [main, "prepare", "-", ...args], {
      input,
      encoding: "utf8",
    });
    assert.is(status, 0, stderr);
  };
  through(gzipSync(textOf(events(), ",")), "--output", at("in/table"));
  succeed("prepare", at("events.csv"), "--output", at("file"));
  assert.ok(readFileSync(at("in/table/vocabulary/item.tsv")).equals(readFileSync(at("file/vocabulary/item.tsv"))));
  assert.match(readFileSync(at("in/table/dataset.json"), "utf8"), '"name": "standard input"');
  writeFileSync(
    at("schema.json"),
    '{"columns":[{"name":"user_id"},{"name":"clicks"}],"click":[{"name":"item"},{"name":"time","kind":"time"}]}',
  );
  through(clickLogOf(events()), "--schema", at("schema.json"), "--output", at("in/log"));
  assert.ok(readFileSync(at("in/log/vocabulary/item.tsv")).equals(readFileSync(at("file/vocabulary/item.tsv"))));
  assert.equal(readdirSync(at("in")).sort(), ["log", "table"]);
});

tables("a full disk and a file that cannot be read are errors of one line, which leave nothing behind", () => {
  mkdirSync(at("disk"));
  writeFileSync(at("many.csv"), textOf(events(3000), ","));
  if (canMount) {
    const script = `mount -t tmpfs -o size="$1" none "$0" && "\${@:2}"; echo "status $?"; ls -A "$0"`;
    const args = [process.execPath, main, "prepare", at("many.csv"), "--output", join(at("disk"), "dataset")];
    // The first has no room for the database, the second none for the clicks.
    for (const [size, message] of [
      ["8k", /^error: Cannot keep the rows of the table beside the output: the disk is full/],
      ["40k", /\nerror: Cannot write .*clicks\.safetensors: the disk is full\n$/],
    ] as const) {
      const { stdout, stderr } = spawnSync("unshare", ["-m", "bash", "-c", script, at("disk"), size, ...args], {
        encoding: "utf8",
      });
      assert.match(stderr, message, size);
      assert.is(stdout, "status 1\n", size);
    }
  }
  if (process.getuid?.() !== 0) return;
  chmodSync(folder, 0o755);
  chmodSync(at("disk"), 0o777);
  writeFileSync(at("secret.csv"), textOf(events(), ","), { mode: 0o600 });
  const args = [main, "prepare", at("secret.csv"), "--output", join(at("disk"), "dataset")];
  const { status, stderr } = spawnSync(process.execPath, args, { uid: 65534, gid: 65534, encoding: "utf8" });
  assert.is(status, 1);
  assert.match(stderr, /^error: Cannot read .*secret\.csv: permission denied\n$/);
  assert.equal(readdirSync(at("disk")), []);
});

test("mistakes are errors that tell the way out", () => {
  const fails = (args: readonly string[], message: string | RegExp) => {
    const { status, stderr } = run(["prepare", ...args]);
    assert.is(status, 1, stderr);
    assert.match(stderr, message);
  };
  writeFileSync(at("log.tsv"), "u1\tp\tc\ti1:a:x;i2:b:y\t1\n");
  fails([at("log.tsv"), "--dry-run"], "Expected a table for --dry-run but received a click log");
  fails([at("log.tsv"), at("events.csv"), "--output", at("x")], "Expected click logs or tables but received both");
  fails([at("log.tsv"), "--schema", at("s"), "--user", "u"], "--schema, for click logs, or options of tables");
  fails(["-", at("log.tsv"), "--output", at("x")], "standard input (-) to be the only input");
  if (!HAS_DUCKDB) return;
  fails([at("events.csv")], "Expected --output");
  fails([at("events.csv"), "--output", at("x"), "--user", "usr_id"], 'Did you mean "user_id"?');
  fails(["--output", at("x")], "Expected the files of a table");
});

test("where DuckDB is not installed, a table is an error with the command that installs it, and logs are read", () => {
  const resolve =
    'export async function resolve(name,c,n){if(name.startsWith("@duckdb"))throw new Error("no such package");return n(name,c)}';
  const hook = `import{register}from"node:module";register("data:text/javascript,${encodeURIComponent(resolve)}")`;
  const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(hook)}` };
  const { status, stderr } = run(["prepare", at("events.csv"), "--output", at("none")], env);
  assert.is(status, 1);
  assert.match(stderr, 'Install it with "npm install @duckdb/node-api", or give a click log');
  writeFileSync(at("one.tsv"), "u1\tp\tc\ti1:a:x;i2:b:y\t1\n");
  assert.is(run(["prepare", at("one.tsv"), "--output", at("log")], env).status, 0);
});

test.run();
