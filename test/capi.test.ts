import { spawnSync } from "node:child_process";
import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openModel, recommend as recommendLog } from "../src/index.js";
import { requestsOf } from "./cases/requests_of.js";
import { succeed, temporaryFolder } from "./cli/run.js";
import type { Answer } from "./fixtures/answers.js";
import { FIXTURES, fixtures } from "./fixtures/fixtures.js";
import { withFeatureRenamed } from "./fixtures/renamed_feature.js";
import { BROKEN_CATALOGUES, copyWithTensors } from "./model/requests/broken_catalogues.js";
import { makeRichModel } from "./model/requests/rich_model.js";

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
    ["--build", build, "-j", "2", "--target", "recommend", "api_check", "answers"],
  ];
  for (const args of steps) {
    const { status, stdout, stderr } = execute("cmake", ...args);
    if (status !== 0)
      throw new Error(`cmake ${args.join(" ")} failed (is CMake 3.20 or newer there?):\n${stdout}${stderr}`);
  }
  succeed("simulate", "--output", folder, "--users", "300", "--items", "120", "--mean-clicks", "25");
  succeed("prepare", at("train.tsv"), "--output", at("dataset"), "--feature-appear-limit", "1");
  succeed("train", at("dataset"), "--output", at("model"), "--epochs", "1", "--set", "draws=32");
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

/** The bits of a float32 as C prints them. */
const floatBits = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]!.toString(16).padStart(8, "0");

test("batches of users, exclude and allow lists, scores and similar items: the bits of the Node library", async () => {
  using model = await openModel(at("model"), { threads: 1 });
  const [exclude, allow] = [
    ["v1", "v2", "v99", "stranger"],
    ["v7", "v3", "v40", "v41", "nobody", "v3", "v90"],
  ];
  const args = [at("model"), at("infer.tsv"), exclude.join(), allow.join()];
  const { status, stdout, stderr } = execute(join(build, "answers"), ...args);
  assert.is(status, 0, stderr);
  const lines = stdout.trimEnd().split("\n");
  const printed = (what: string) => lines.filter((line) => line.split(" ")[0] === what);
  const withoutProbabilities = (what: string) => printed(what).map((line) => line.replaceAll(/:[^: ]+(?= |$)/g, ""));
  const textOf = (what: string, items: readonly { readonly item: string; readonly score: number }[]) =>
    [what, ...items.map(({ item, score }) => `${item}:${floatBits(score)}`)].join(" ");
  const users = await requestsOf(model, at("infer.tsv"));
  assert.is(users.length, 300);
  for (const [what, options] of [
    ["all", {}],
    ["exclude", { exclude }],
    ["allow", { exclude, allow, keepWatched: true }],
  ] as const) {
    const answers = await model.recommend(users, { ...options, top: 7 });
    assert.equal(
      withoutProbabilities(what),
      answers.map(({ items }) => textOf(what, items)),
    );
    // The exponential function of C and that of JavaScript may differ in the last bit.
    const probabilities = printed(what).map((line) =>
      [...line.matchAll(/:([^: ]+)(?= |$)/g)].map(([, text]) => Number(text)),
    );
    for (const [u, { items }] of answers.entries()) {
      for (const [i, { probability }] of items.entries()) {
        assert.ok(Math.abs(probabilities[u]![i]! / probability! - 1) < 1e-15, `${what}, user ${u}, item ${i}`);
      }
    }
  }
  const scores = await model.score(users, allow);
  assert.equal(
    printed("score"),
    scores.map(({ items }) => textOf("score", items)),
  );
  const similar = await model.similar(allow, { exclude, top: 7 });
  assert.equal(
    printed("similar"),
    similar.map((list) =>
      textOf(
        "similar",
        list.similar.map(({ item, similarity }) => ({ item, score: similarity })),
      ),
    ),
  );
  const log: string[] = [];
  for await (const { items } of recommendLog(model, at("infer.tsv"), { top: 7 })) log.push(textOf("all", items));
  assert.equal(withoutProbabilities("all"), log);
});

test("models of earlier versions give the same results as before", () => {
  for (const model of fixtures("model")) {
    const answers = JSON.parse(readFileSync(model.replace(/model-(v\d+)$/, "expected-$1.json"), "utf8")) as Answer[];
    const { status, stdout, stderr } = recommend(model, join(FIXTURES, "log.tsv"), "4");
    assert.is(status, 0, stderr);
    const lines = stdout.trimEnd().split("\n");
    assert.is(lines.length, answers.length);
    for (const [u, { items }] of answers.entries()) {
      const found = lines[u]!.split(",").map((pair) => pair.split(":"));
      assert.equal(
        found.map(([item]) => item),
        items.map(({ item }) => item),
      );
      // The ratio of two items' probabilities is the exponential of the difference of their scores.
      found.forEach(([, probability], i) => {
        const ratio = Math.exp(items[i]!.score - items[0]!.score);
        assert.ok(Math.abs(Number(probability) / Number(found[0]![1]) - ratio) < 1e-4, `line ${u + 1}, item ${i + 1}`);
      });
    }
  }
});

test("a model of version 1 with a feature of a name that version 2 reserves is refused", async () => {
  const [model] = fixtures("model");
  for (const [from, name, text] of [
    ["category", "timesteps", 'The name "timesteps" is reserved'],
    ["tags", "sequence", 'expected no tensor "sequence_offsets" before version 2. If it is that of a feature, rename'],
  ] as const) {
    await withFeatureRenamed(model!, at(name), from, name);
    const { status, stdout, stderr } = recommend(at(name), join(FIXTURES, "log.tsv"), "4");
    assert.is(status, 1);
    assert.is(stdout, "");
    assert.match(stderr, text);
  }
});

test("attributes of items: given to clicks on items alone, and refused where they do not fit the model", async () => {
  await makeRichModel(at("rich"));
  using model = await openModel(at("rich/model"), { threads: 1 });
  const users = await requestsOf(model, at("rich/log.tsv"));
  const c = recommend(at("rich/model"), at("rich/log.tsv"), "3");
  assert.is(c.status, 0, c.stderr);
  const answers = await model.recommend(users, { top: 3 });
  assert.equal(
    c.stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.replaceAll(/:[^,]*/g, "")),
    answers.map(({ items }) => items.map(({ item }) => item).join()),
  );
  for (const [i, [message, change]] of BROKEN_CATALOGUES.entries()) {
    await copyWithTensors(at("rich/model"), at(`broken${i}`), change);
    const { status, stderr } = recommend(at(`broken${i}`), at("rich/log.tsv"), "3");
    assert.is(status, 1, message);
    assert.ok(stderr.includes(message), stderr);
  }
});

test("growing windows: histories of every length, as the command line reads them", () => {
  const flags = ["--windows", "growing", "--batching", "shared", "--window", "3", "--epochs", "1"];
  succeed("train", at("dataset"), "--output", at("growing"), ...flags, "--set", "draws=32");
  const [line] = readFileSync(at("infer.tsv"), "utf8").split("\n");
  const [user, province, city, clicks, phone] = line!.split("\t");
  const all = `${clicks};${clicks};${clicks}`.split(";");
  const lines = Array.from({ length: 14 }, (_, i) =>
    [user, province, city, all.slice(0, i + 1).join(";"), phone].join("\t"),
  );
  writeFileSync(at("lengths.tsv"), `${lines.join("\n")}\n`);
  const c = recommend(at("growing"), at("lengths.tsv"), "5");
  assert.is(c.status, 0, c.stderr);
  assert.is(new Set(c.stdout.split("\n")).size, 15);
  assert.is(c.stdout, succeed("recommend", at("growing"), at("lengths.tsv"), "--top", "5", "--format", "text"));
});

test("single calls: the builder, vectors, watched items, refusals, and eight threads on one model", () => {
  for (const [i, line] of readFileSync(at("infer.tsv"), "utf8").split("\n", 5).entries()) {
    const { status, stdout, stderr } = execute(join(build, "api_check"), at("model"), line, i === 0 ? "1000" : "20");
    assert.is(status, 0, stdout + stderr);
  }
});

test("a byte order mark, \\r\\n and an empty last line are read as the command line reads them", () => {
  const lines = readFileSync(at("infer.tsv"), "utf8").split("\n", 3);
  writeFileSync(at("windows.tsv"), `\ufeff${lines.join("\r\n")}\r\n\r\n`);
  const c = recommend(at("model"), at("windows.tsv"), "5");
  assert.is(c.status, 0, c.stderr);
  assert.is(c.stdout.split("\n").length, 4);
  assert.is(c.stdout, succeed("recommend", at("model"), at("windows.tsv"), "--top", "5", "--format", "text"));
});

test("other features: numbers, unknown tokens, several attributes", () => {
  const schema = {
    columns: [{ name: "age", kind: "number" }, { name: "user_id" }, { name: "clicks" }, { name: "x", kind: "ignore" }],
    click: [{ name: "video" }, { name: "topics", multiple: true }],
  };
  writeFileSync(at("schema.json"), JSON.stringify(schema));
  const lines = Array.from({ length: 50 }, (_, u) => {
    const clicks = Array.from({ length: 4 }, (_, i) => `w${(u * 3 + i) % 11}:t${i}_t${u % 3}`).join(";");
    return `${u % 5 === 0 ? "" : u % 5 === 1 ? `+.${u}e2` : 18.5 + u}\tp${u}\t${clicks}\tanything`;
  });
  const missing = ["NULL\tstranger\tnew:other;w1:t1\tz", "nan\tNone\tnull:NA;\\N:t1_nil;w1:N/A_t2\tz"];
  writeFileSync(at("log.tsv"), `${[...lines, ...missing].join("\n")}\n`);
  succeed("prepare", at("log.tsv"), "--schema", at("schema.json"), "--output", at("d2"), "--feature-appear-limit", "1");
  succeed("train", at("d2"), "--output", at("m2"), "--epochs", "1", "--set", "draws=8", "--set", "history=mean");
  const c = recommend(at("m2"), at("log.tsv"), "3");
  assert.is(c.status, 0, c.stderr);
  assert.is(c.stdout, succeed("recommend", at("m2"), at("log.tsv"), "--top", "3", "--format", "text"));
  for (const item of ["null", "\\N"]) assert.not.match(c.stdout, `${item}:`);
  writeFileSync(at("new.tsv"), "33\tp1\t\tx\nNaN\tp2\tNULL\tx\n");
  const nobody = recommend(at("m2"), at("new.tsv"), "3");
  assert.is(nobody.stdout.split("\n").length, 3, nobody.stderr);
  assert.is(nobody.stdout, succeed("recommend", at("m2"), at("new.tsv"), "--top", "3", "--format", "text"));
  for (const age of ["0x10", "1e39", "inf", " 1", "1 ", "-", ".", "1e"]) {
    writeFileSync(at("age.tsv"), `${age}\tp1\tw1:t1\tx\n`);
    const { status, stderr } = recommend(at("m2"), at("age.tsv"), "3");
    assert.is(status, 1, age);
    const expected = age === "1e39" ? "a number that float32 can hold" : "a number";
    assert.match(stderr, `age.tsv:1: field 1 (age): Expected ${expected} but received "${age}"\n`);
  }
});

test("times and weights of clicks, and fields to ignore: counted as fields, numbers checked, and a model with exampleAge is asked for now", () => {
  const schema = {
    columns: [{ name: "user_id" }, { name: "clicks" }],
    click: [
      ...[{ name: "video" }, { name: "shown", kind: "ignore" }],
      ...[
        { name: "time", kind: "time" },
        { name: "topics", multiple: true },
        { name: "seen", kind: "weight" },
      ],
    ],
  };
  writeFileSync(at("times.json"), JSON.stringify(schema));
  const lines = Array.from({ length: 60 }, (_, u) => {
    const clicks = Array.from(
      { length: 4 },
      (_, i) => `w${(u * 3 + i) % 11}:s${u}_${i}:${1e6 * i + u / 4}:t${i}_t${u % 3}:${i / 4}`,
    );
    return `u${u}\t${clicks.join(";")}`;
  });
  writeFileSync(at("times.tsv"), `${lines.join("\n")}\nu1\tw1:::t1:;w2:NULL:NULL:t2:NULL;w3::-1.5e3::1e3\n`);
  succeed(
    "prepare",
    at("times.tsv"),
    "--schema",
    at("times.json"),
    "--output",
    at("d3"),
    "--feature-appear-limit",
    "1",
  );
  succeed("train", at("d3"), "--output", at("m3"), "--epochs", "2", "--set", "draws=8", "exampleAge=true");
  const c = recommend(at("m3"), at("times.tsv"), "3");
  assert.is(c.status, 0, c.stderr);
  assert.is(c.stdout.split("\n").length, 62);
  assert.is(c.stdout, succeed("recommend", at("m3"), at("times.tsv"), "--top", "3", "--format", "text"));
  for (const time of ["noon", "1e999", " 1"]) {
    writeFileSync(at("time.tsv"), `u1\tw1:x:${time}:t1:1\n`);
    const { status, stderr } = recommend(at("m3"), at("time.tsv"), "3");
    assert.is(status, 1, time);
    assert.match(stderr, `1: field 2 (clicks): Expected a number for time of click 1 but received "${time}"\n`);
  }
  writeFileSync(at("time.tsv"), "u1\tw1:x:1:t1:-.5\n");
  const refused = '1: field 2 (clicks): Expected a number of at least 0 for seen of click 1 but received "-.5"\n';
  assert.match(recommend(at("m3"), at("time.tsv"), "3").stderr, refused);
  writeFileSync(at("time.tsv"), "u1\tw1:t1\n");
  const expected = 'field 2 (clicks): Expected video:shown:time:topics:seen for click 1 but received "w1:t1"';
  assert.match(recommend(at("m3"), at("time.tsv"), "3").stderr, expected);
});

test("searches, several values of a user, weights and numbers of clicks, and fields to ignore: as the command line reads them, set one by one and from a line", () => {
  const logs = at("searched");
  const sizes = ["--users", "200", "--items", "100", "--mean-clicks", "6"];
  succeed("simulate", "--output", logs, ...sizes, "--mean-searches", "20");
  const schema = JSON.parse(readFileSync(join(logs, "log_schema.json"), "utf8"));
  schema.columns.push({ name: "languages", multiple: true });
  schema.click.push({ name: "seen", kind: "weight" }, { name: "shown", kind: "ignore" });
  schema.click.push({ name: "price", kind: "number" });
  writeFileSync(at("searched.json"), JSON.stringify(schema));
  const languages = ["en", "en_de", "", "NULL_fr", "none_such"];
  const lines = readFileSync(join(logs, "infer.tsv"), "utf8").trimEnd().split("\n");
  const written = lines.map((line, u) => {
    const fields = line.split("\t");
    const clicks = fields[3]!.split(";");
    const price = (i: number) => (i % 4 === 1 ? "NULL" : `${((u + i) % 9) / 4}`);
    fields[3] = clicks.map((click, i) => `${click}:${["1", "", "0.25"][(u + i) % 3]}:${i}:${price(i)}`).join(";");
    return [...fields, languages[u % 5]].join("\t");
  });
  writeFileSync(at("searched.tsv"), `${written.join("\n")}\n`);
  const limit = ["--feature-appear-limit", "searches=1,languages=40,item=0"];
  succeed("prepare", at("searched.tsv"), "--schema", at("searched.json"), "--output", at("d4"), ...limit);
  succeed("train", at("d4"), "--output", at("m4"), "--epochs", "1", "--set", "draws=8");
  const strange = "u1\tp\tc\tv1:c1:t1:2:x:-1e3\tm\tC1 T1?!;;ｃ２ ｔ２ ünï;NULL;new words\ten_xx";
  const many = Array.from({ length: 120 }, (_, i) => `c${i % 8} t${i % 30}`).join(";");
  writeFileSync(at("searched.tsv"), `${[...written, strange, `u1\tp\tc\tv1:c1:t1:::\tm\t${many}\t`].join("\n")}\n`);
  const c = recommend(at("m4"), at("searched.tsv"), "5");
  assert.is(c.status, 0, c.stderr);
  assert.is(c.stdout.split("\n").length, 203);
  assert.is(c.stdout, succeed("recommend", at("m4"), at("searched.tsv"), "--top", "5", "--format", "text"));
  for (const [price, expected] of [
    ["dear", "a number"],
    ["1e39", "a number that float32 can hold"],
  ] as const) {
    writeFileSync(at("price.tsv"), `u1\tp\tc\tv1:c1:t1:::;v1:c1:t1:::${price}\tm\t\t\n`);
    const refused = `1: field 4 (clicks): Expected ${expected} for price of click 2 but received "${price}"\n`;
    assert.match(recommend(at("m4"), at("price.tsv"), "3").stderr, refused);
  }
  for (const line of [written[3]!, strange, written[11]!]) {
    const { status, stdout, stderr } = execute(join(build, "api_check"), at("m4"), line, "0");
    assert.is(status, 0, stdout + stderr);
  }
});

test("a folder that is not a model, a truncated file and a malformed line give a message instead of a crash", () => {
  const fails = (text: string, ...args: string[]) => {
    const { status, stdout, stderr } = recommend(...args);
    assert.is(status, 1);
    assert.is(stdout, "");
    assert.match(stderr, text);
  };
  fails("config.json", at("missing"), at("infer.tsv"));
  const files = ["config.json", "program.json", "model.safetensors", "vocabulary/item.tsv"];
  for (const [i, name] of files.entries()) {
    cpSync(at("model"), at(`cut${i}`), { recursive: true });
    const file = join(at(`cut${i}`), name);
    truncateSync(file, 500);
    fails(file, at(`cut${i}`), at("infer.tsv"));
    rmSync(file);
    fails(file, at(`cut${i}`), at("infer.tsv"));
  }
  const change = (name: string, file: string, from: string | RegExp, to: string) => {
    cpSync(at("model"), at(name), { recursive: true });
    const text = readFileSync(join(at(name), file), "utf8");
    assert.not.equal(text.replace(from, to), text, name);
    writeFileSync(join(at(name), file), text.replace(from, to));
    fails(join(at(name), file), at(name), at("infer.tsv"));
  };
  change("path", "config.json", '"name": "city"', '"name": "../city"');
  change("kind", "config.json", '"kind": "clicks"', '"kind": "ignore"');
  change("windows", "config.json", /"windows": "\w+"/, '"windows": "wide"');
  change("twice", "vocabulary/city.tsv", /\n([^\t]+)(\t\d+\n)/, "\n$1$2$1$2");
  change("width", "program.json", /"name":"user_vector"(.*?)"role":"output"/, '"name":"user"$1"role":"output"');
  fails("usage", at("model"), at("infer.tsv"), "none");
  fails("cannot read", at("model"), at("missing"));
  fails("cannot read", at("model"), folder);
  writeFileSync(at("broken.tsv"), "u1\tp\tc\n");
  fails(
    "broken.tsv:1: field 4 (clicks): Expected 5 fields separated by tabs but received 3",
    at("model"),
    at("broken.tsv"),
  );
});

test.run();
