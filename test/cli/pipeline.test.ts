import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { run, succeed, temporaryFolder } from "./run.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const TRAIN = ["--set", "draws=64", "--set", "hiddenWidths=[32]", "--set", "userVectorWidth=16", "--epochs", "2"];

interface Shortlist {
  readonly user: string;
  readonly items: { readonly item: string; readonly score: number; readonly probability: number }[];
}

const jsonLines = <T>(text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

test.before(() => {
  succeed("simulate", "--output", folder, "--users", "600", "--items", "200", "--mean-clicks", "12");
  succeed("prepare", at("train.tsv"), "--output", at("dataset"), "--feature-appear-limit", "0");
  succeed("train", at("dataset"), "--output", at("model"), ...TRAIN, "--epochs", "8", "--batch", "64");
});

test("a trained model beats popularity; evaluate --json is one line of the promised form", () => {
  const lines = succeed("evaluate", at("model"), at("test.tsv"), "--json").trimEnd().split("\n");
  assert.is(lines.length, 1);
  const evaluation = JSON.parse(lines[0]!);
  assert.is(evaluation.users, 600);
  assert.equal(Object.keys(evaluation.hitRate), ["10", "50", "100", "200"]);
  assert.equal(Object.keys(evaluation).sort(), [
    ...[
      "coverage",
      "exposure",
      "hitRate",
      "mrr",
      "ndcg",
      "popularity",
      "protocol",
      "unknownTargets",
      "users",
      "watchedTargets",
    ],
  ]);
  assert.ok(evaluation.hitRate["10"] > evaluation.popularity.hitRate["10"], JSON.stringify(evaluation));
  const { rankedItems, watchedItems } = evaluation.protocol;
  assert.equal([rankedItems, watchedItems], [200, "left-out"]);
});

test("evaluate says what it measured, and writes it to a file that is no part of a model", () => {
  const stored = at("evaluation.json");
  const table = succeed("evaluate", at("model"), at("test.tsv"), "--output", stored);
  assert.match(
    table,
    "\nRanked: the last click of each user among all 200 items but those that the user has watched\n",
  );
  assert.equal(
    JSON.parse(readFileSync(stored, "utf8")),
    JSON.parse(succeed("evaluate", at("model"), at("test.tsv"), "--json")),
  );
  const { status, stderr } = run(["evaluate", at("model"), at("test.tsv"), "--output", at("model/config.json")]);
  assert.is(status, 1);
  assert.match(stderr, "it is a part of the model");
});

test("evaluate --baselines: the transitions of the training dataset as well, in JSON and in the table", () => {
  const flags = ["evaluate", at("model"), at("test.tsv"), "--baselines", at("dataset")];
  const evaluation = JSON.parse(succeed(...flags, "--json"));
  assert.equal(Object.keys(evaluation.transitions), ["hitRate", "ndcg", "mrr"]);
  assert.ok(evaluation.transitions.hitRate["10"] > evaluation.popularity.hitRate["10"], JSON.stringify(evaluation));
  const table = succeed(...flags).split("\n");
  assert.match(table[0]!, /^ +model +popularity +transitions *$/);
  assert.match(table[1]!, /^ +HitRate +NDCG +coverage +HitRate +NDCG +HitRate +NDCG$/);
  const { hitRate, ndcg } = evaluation.transitions;
  assert.ok(table[2]!.endsWith(`${hitRate["10"].toFixed(4)}  ${ndcg["10"].toFixed(4)}`), table[2]);
  const without = succeed("evaluate", at("model"), at("test.tsv"));
  assert.not.match(without, "transitions");
});

test("evaluate --baselines refuses a dataset of other items", () => {
  succeed("prepare", at("test.tsv"), "--output", at("few-items"), "--feature-appear-limit", "40");
  const flags = ["--baselines", at("few-items")];
  const { status, stderr } = run(["evaluate", at("model"), at("test.tsv"), ...flags]);
  assert.is(status, 1);
  assert.match(stderr, /few-items: Expected the item vocabulary of the model \(200 items\) but received another one/);
});

test("extend: new items are recommended, known items keep their scores", () => {
  const clicks = readFileSync(at("infer.tsv"), "utf8").split("\n")[0]!.split("\t")[3]!.split(";").slice(0, 3);
  const fresh = clicks.map((click, i) => `fresh${i}${click.slice(click.indexOf(":"))}`).join(";");
  writeFileSync(at("fresh.tsv"), `nobody\tNULL\tNULL\t${fresh}\tNULL\n`);
  const flags = ["--dataset", at("dataset"), "--output", at("extended"), "--boost", "20"];
  const { status, stderr } = run(["extend", at("model"), at("fresh.tsv"), ...flags]);
  assert.is(status, 0, stderr);
  assert.match(stderr, /extended: 3 new items\n/);
  const before = jsonLines<Shortlist>(succeed("recommend", at("model"), at("infer.tsv"), "--top", "5"));
  const after = jsonLines<Shortlist>(succeed("recommend", at("extended"), at("infer.tsv"), "--top", "8"));
  const pairs = (items: Shortlist["items"]) => items.map(({ item, score }) => [item, score]);
  for (const [i, { items }] of after.entries()) {
    assert.equal(
      items
        .slice(0, 3)
        .map(({ item }) => item)
        .sort(),
      ["fresh0", "fresh1", "fresh2"],
    );
    assert.equal(pairs(items.slice(3)), pairs(before[i]!.items));
  }
  assert.match(run(["extend", at("model"), at("fresh.tsv"), ...flags, "--boost", "much"]).stderr, "Expected a number.");
});

test("train --json tells speed and loss; the loss falls; a model is saved after every epoch", () => {
  const report = JSON.parse(succeed("train", at("dataset"), "--output", at("model-json"), ...TRAIN, "--json"));
  for (const key of ["samplesPerSecond", "seconds", "samples", "loss", "threads", "isa"]) assert.ok(key in report, key);
  const first = JSON.parse(readFileSync(at("model-json/epoch-1/config.json"), "utf8")).training.loss;
  const second = JSON.parse(readFileSync(at("model-json/epoch-2/config.json"), "utf8")).training.loss;
  assert.ok(second < first, `loss ${first}, then ${second}`);
  assert.is(second, report.loss);
  const weights = (name: string) => readFileSync(at(`model-json/${name}model.safetensors`));
  assert.ok(weights("epoch-2/").equals(weights("")), "the final model is that of the last epoch");
});

test("--passes and passes= are taken for --epochs and epochs=, with a warning", () => {
  const flags = [...TRAIN.slice(0, -2), "--steps", "1", "--output", at("former")];
  const options = run(["train", at("dataset"), ...flags, "--passes", "3"]);
  assert.is(options.status, 0, options.stderr);
  assert.match(options.stderr, "warning: --passes is called --epochs now\n");
  assert.is(JSON.parse(readFileSync(at("former/config.json"), "utf8")).config.epochs, 3);
  const settings = run(["train", at("dataset"), ...flags, "--set", "passes=4"]);
  assert.is(settings.status, 0, settings.stderr);
  assert.match(settings.stderr, 'warning: "passes" of --set is called "epochs" now\n');
  assert.is(JSON.parse(readFileSync(at("former/config.json"), "utf8")).config.epochs, 4);
  const { status, stderr } = run(["train", at("dataset"), ...flags, "--passes", "3", "--epochs", "3"]);
  assert.is(status, 2);
  assert.match(stderr, "--passes");
  assert.not.match(succeed("train", "--help"), "--passes");
});

test("--validation: a line an epoch on stderr, the best epoch in --json", () => {
  const flags = [...TRAIN, "--validation", "last", "--patience", "0", "--test", at("test.tsv")];
  const { status, stdout, stderr } = run(["train", at("dataset"), "--output", at("validated"), ...flags, "--json"]);
  assert.is(status, 0, stderr);
  const { validation } = JSON.parse(stdout);
  assert.equal(Object.keys(validation.hitRate), ["10", "50", "100", "200"]);
  const metrics = jsonLines<{ ndcg: Record<string, number> }>(readFileSync(at("validated/metrics.jsonl"), "utf8"));
  assert.is(metrics.length, 2);
  metrics.forEach(({ ndcg }, i) => {
    const line = stderr.split("\n").find((text) => text.startsWith(`epoch ${i + 1}: loss `));
    assert.match(line!, `NDCG@10 ${ndcg["10"]!.toFixed(4)} (popularity `);
  });
  assert.match(stderr, `epoch ${validation.epoch} of 2 is kept`);
  assert.match(stderr, "600 users, MRR ");
});

test("--validation last holds clicks out, ./last is a log of that name", () => {
  writeFileSync(at("last"), readFileSync(at("test.tsv")));
  const heldOut = (what: string) => {
    const flags = ["--output", at("by-last"), ...TRAIN, "--steps", "2", "--validation", what];
    const { status, stderr } = run(["train", at("dataset"), ...flags], {}, folder);
    assert.is(status, 0, stderr);
    return JSON.parse(readFileSync(at("by-last/config.json"), "utf8")).training.heldOut;
  };
  assert.is(heldOut("last"), "last");
  assert.is(heldOut("./last"), undefined);
});

test("same seed, same bits: again, and on 1 and 2 threads; another seed, other bits", () => {
  const weights = (name: string, ...flags: string[]) => {
    succeed("train", at("dataset"), "--output", at(name), ...TRAIN, "--steps", "12", ...flags);
    return readFileSync(join(at(name), "model.safetensors"));
  };
  const one = weights("one", "--threads", "1");
  assert.ok(one.equals(weights("two", "--threads", "2")), "1 and 2 threads");
  assert.ok(one.equals(weights("again", "--threads", "1")), "twice");
  assert.not.ok(one.equals(weights("other", "--seed", "2")), "seed 2");
});

test("windows and batching: flags are shorthands of --set, and the model reads what it was trained on", () => {
  const weights = (name: string, ...flags: string[]) => {
    succeed("train", at("dataset"), "--output", at(name), ...TRAIN, "--window", "4", "--steps", "12", ...flags);
    return readFileSync(join(at(name), "model.safetensors"));
  };
  const growing = weights("growing", "--windows", "growing", "--batching", "shared");
  assert.ok(growing.equals(weights("set", "--set", "windows=growing", "--set", "batching=shared")));
  assert.ok(growing.equals(weights("wins", "--windows", "growing", "--set", "windows=sliding", "batching=shared")));
  assert.not.ok(growing.equals(weights("sliding", "--windows", "sliding", "--batching", "shared")));
  const isolated = weights("isolated", "--windows", "growing", "--batching", "shuffled");
  assert.not.ok(growing.equals(isolated));
  const reference = ["--windows", "growing", "--batching", "shared", "--executor", "reference"];
  const native = Float32Array.from(readFloats(growing));
  readFloats(weights("reference", ...reference)).forEach((value, i) => {
    assert.ok(Math.abs(value - native[i]!) < 1e-3);
  });
  const evaluation = JSON.parse(succeed("evaluate", at("growing"), at("test.tsv"), "--json"));
  assert.is(evaluation.users, 600);
});

/** Reads the tensors of a safetensors file. */
function readFloats(bytes: Buffer): Float32Array {
  return new Float32Array(Uint8Array.from(bytes.subarray(8 + Number(bytes.readBigUInt64LE()))).buffer);
}

test("--profile: every instruction's calls, time and work, and the time without a batch", () => {
  const flags = [...TRAIN, "--steps", "5", "--profile"];
  const table = succeed("train", at("dataset"), "--output", at("profiled"), ...flags)
    .trimEnd()
    .split("\n");
  assert.match(table[0]!, /^instruction +calls +seconds +share +GFLOP\/s +GB\/s$/);
  assert.ok(
    table.some((line) => /^lstm → .* 5 +\d\.\d{3} +\d+\.\d % +\d+\.\d +\d+\.\d$/.test(line)),
    table.join("\n"),
  );
  assert.match(table.at(-2)!, /^waiting for batches +5 /);
  const { profile } = JSON.parse(succeed("train", at("dataset"), "--output", at("profiled"), ...flags, "--json"));
  assert.is(profile.instructions.length, table.length - 4);
  const spent = profile.instructions.reduce((sum: number, { seconds }: { seconds: number }) => sum + seconds, 0);
  assert.ok(spent > 0 && spent + profile.secondsWaited <= profile.seconds, JSON.stringify(profile));
  assert.ok(profile.instructions.every(({ calls }: { calls: number }) => calls === 5));
});

test("a loss that is not finite stops training at its step, and nothing is saved", () => {
  const { status, stderr } = run([
    "train",
    at("dataset"),
    "--output",
    at("diverged"),
    ...TRAIN,
    "--set",
    "learningRate=1e30",
  ]);
  assert.is(status, 1);
  assert.match(stderr, /The loss of step \d+ is (NaN|-?Infinity)\. Lower learningRate/);
  assert.not.ok(existsSync(at("diverged")));
});

test("threads come from --threads, else from SHORTLIST_THREADS", () => {
  const threads = (...flags: string[]) => {
    const args = ["train", at("dataset"), "--output", at("threads"), "--steps", "1", "--json", ...flags];
    const { status, stdout, stderr } = run(args, { SHORTLIST_THREADS: "3" });
    assert.is(status, 0, stderr);
    return JSON.parse(stdout).threads;
  };
  assert.is(threads(), 3);
  assert.is(threads("--threads", "2"), 2);
});

test("--steps stops early", () => {
  const report = JSON.parse(
    succeed("train", at("dataset"), "--output", at("short"), "--steps", "3", "--batch", "10", "--json"),
  );
  assert.is(report.samples, 30);
});

test("both executors give the same shortlists", () => {
  const native = jsonLines<Shortlist>(succeed("recommend", at("model"), at("infer.tsv"), "--top", "5"));
  const reference = jsonLines<Shortlist>(
    succeed("recommend", at("model"), at("infer.tsv"), "--top", "5", "--executor", "reference"),
  );
  assert.is(native.length, 600);
  for (const [i, { user, items }] of native.entries()) {
    assert.is(user, reference[i]!.user);
    for (const [j, { score, probability }] of items.entries()) {
      assert.ok(Math.abs(score - reference[i]!.items[j]!.score) < 1e-4, `${user} ${j}`);
      assert.ok(Math.abs(probability - reference[i]!.items[j]!.probability) < 1e-4, `${user} ${j}`);
    }
  }
});

test("recommend leaves watched items out unless asked; text holds what jsonl holds", () => {
  const watched = readFileSync(at("infer.tsv"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => {
      const clicks = line.split("\t")[3]!;
      return new Set(clicks.split(";").map((click) => click.split(":")[0]!));
    });
  const without = jsonLines<Shortlist>(succeed("recommend", at("model"), at("infer.tsv"), "--top", "20"));
  for (const [i, { items }] of without.entries()) for (const { item } of items) assert.not.ok(watched[i]!.has(item));
  const kept = jsonLines<Shortlist>(
    succeed("recommend", at("model"), at("infer.tsv"), "--top", "20", "--keep-watched"),
  );
  assert.ok(kept.some(({ items }, i) => items.some(({ item }) => watched[i]!.has(item))));
  const text = succeed("recommend", at("model"), at("infer.tsv"), "--top", "20", "--format", "text")
    .trimEnd()
    .split("\n");
  assert.equal(
    text.map((line) => line.split(",").map((pair) => pair.split(":")[0])),
    without.map(({ items }) => items.map(({ item }) => item)),
  );
});

/** Reads the vectors of a text file, by token. */
function readVectors(path: string): Map<string, number[]> {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return new Map(lines.map((line) => [line.split("\t")[0]!, line.split("\t")[1]!.split(",").map(Number)]));
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

test("vectors: inner products of plain ones and cosines of transformed ones have the order of recommend", () => {
  const shortlists = jsonLines<Shortlist>(
    succeed("recommend", at("model"), at("infer.tsv"), "--top", "200", "--keep-watched"),
  );
  for (const transform of ["none", "simple_lsh"]) {
    succeed("vectors", "users", at("model"), at("infer.tsv"), "--output", at("users.txt"), "--transform", transform);
    succeed("vectors", "items", at("model"), "--output", at("items.txt"), "--transform", transform);
    const [users, items] = [readVectors(at("users.txt")), readVectors(at("items.txt"))];
    assert.is(items.size, 200);
    for (const { user, items: ranked } of shortlists.slice(0, 50)) {
      const vector = users.get(user)!;
      const norm = (v: readonly number[]) => (transform === "none" ? 1 : Math.sqrt(dot(v, v)));
      const similarity = ranked.map(
        ({ item }) => dot(vector, items.get(item)!) / norm(vector) / norm(items.get(item)!),
      );
      for (let j = 1; j < similarity.length; j++) {
        assert.ok(similarity[j]! <= similarity[j - 1]! + 2e-6, `${transform}: ${user} at ${j}`);
      }
    }
  }
});

test("vectors as npy: header, shape, tokens", () => {
  succeed("vectors", "items", at("model"), "--output", at("items.npy"), "--format", "npy", "--transform", "none");
  succeed("vectors", "items", at("model"), "--output", at("items.txt"), "--transform", "none");
  const bytes = readFileSync(at("items.npy"));
  const header = bytes.readUInt16LE(8);
  assert.is((10 + header) % 64, 0);
  assert.match(bytes.toString("latin1", 10, 10 + header), "'shape': (200, 17)");
  const text = readVectors(at("items.txt"));
  const tokens = readFileSync(at("items.npy.tokens.txt"), "utf8").trimEnd().split("\n");
  assert.equal(tokens, [...text.keys()]);
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset + 10 + header, bytes.byteOffset + bytes.length));
  assert.equal([...values.subarray(0, 17)], [...Float32Array.from(text.get(tokens[0]!)!)]);
});

test("mine: users from the id alone and from a log, popular items, similar items", () => {
  writeFileSync(at("who.txt"), "u1\nu2\n");
  const alone = jsonLines<Shortlist>(succeed("mine", "users", at("model"), "--users", at("who.txt"), "--top", "3"));
  assert.equal(
    alone.map(({ user, items }) => [user, items.length]),
    [
      ["u1", 3],
      ["u2", 3],
    ],
  );
  const all = jsonLines<Shortlist>(succeed("mine", "users", at("model"), "--top", "3"));
  assert.is(all.length, 600);
  const real = jsonLines<Shortlist>(
    succeed("mine", "users", at("model"), "--log", at("infer.tsv"), "--users", at("who.txt"), "--top", "3"),
  );
  const recommended = jsonLines<Shortlist>(succeed("recommend", at("model"), at("infer.tsv"), "--top", "3"));
  assert.equal(
    real,
    recommended.filter(({ user }) => user === "u1" || user === "u2"),
  );
  const popular = jsonLines<{ item: string; clicks: number }>(succeed("mine", "popular", at("model"), "--top", "5"));
  const vocabulary = readFileSync(at("model/vocabulary/item.tsv"), "utf8").split("\n").slice(1, 6);
  assert.equal(
    popular.map(({ item, clicks }) => `${item}\t${clicks}`),
    vocabulary,
  );
  writeFileSync(at("which.txt"), `${popular[0]!.item}\n`);
  const similar = jsonLines<{ item: string; similar: { item: string; similarity: number }[] }>(
    succeed("mine", "similar", at("model"), "--items", at("which.txt"), "--top", "4"),
  );
  assert.is(similar.length, 1);
  assert.is(similar[0]!.similar.length, 4);
  assert.not.ok(similar[0]!.similar.some(({ item }) => item === popular[0]!.item));
  succeed("vectors", "items", at("model"), "--output", at("items.txt"), "--transform", "none");
  const weights = new Map([...readVectors(at("items.txt"))].map(([item, vector]) => [item, vector.slice(1)]));
  const cosine = (a: readonly number[], b: readonly number[]) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const own = weights.get(popular[0]!.item)!;
  const expected = [...weights].map(([item, other]) => ({ item, similarity: cosine(own, other) }));
  expected.sort((a, b) => b.similarity - a.similarity);
  for (const [i, { item, similarity }] of similar[0]!.similar.entries()) {
    assert.is(item, expected[i + 1]!.item);
    assert.ok(Math.abs(similarity - expected[i + 1]!.similarity) < 1e-5);
  }
});

test("inspect shows instructions, shapes, parameters and work, of both Programs and of a dataset", () => {
  const text = succeed("inspect", at("model"));
  for (const word of ["lstm", "embedding.item", "output.weight", "flops", "top_n", "[201, 16]"])
    assert.match(text, word);
  const training = JSON.parse(succeed("inspect", at("model"), "--training", "--json"));
  assert.ok(training.instructions.some(({ op }: { op: string }) => op === "adam_rows"));
  assert.ok(
    training.instructions.every(({ flops, bytes }: { flops: number; bytes: number }) => flops >= 0 && bytes > 0),
  );
  assert.is(JSON.parse(succeed("inspect", at("dataset"), "--json")).users, 600);
});

test("every configuration trains: preset paddle, mean, each loss, optimizer and batching", () => {
  const train = (name: string, ...flags: string[]) =>
    JSON.parse(succeed("train", at("dataset"), "--output", at(name), "--steps", "20", "--json", ...flags)) as {
      loss: number;
    };
  assert.ok(Number.isFinite(train("paddle", "--preset", "paddle").loss));
  for (const setting of [
    "history=mean",
    "loss=nce",
    "loss=softmax",
    "loss=paddle_nce",
    "sharedDraws=false",
    "peepholes=true",
  ]) {
    assert.ok(Number.isFinite(train("other", "--set", setting, "--set", "draws=8").loss), setting);
  }
  for (const optimizer of ["adagrad", "rowwise_adagrad", "sgd"]) {
    assert.ok(Number.isFinite(train("other", "--set", `optimizer=${optimizer}`, "--set", "draws=8").loss), optimizer);
  }
  assert.ok(Number.isFinite(train("other", "--set", "batching=shared").loss));
  assert.ok(
    Number.isFinite(train("other", "--set", 'exclude=["user_id","tags"]', "--set", "hiddenWidths=[64,32,16]").loss),
  );
  assert.ok(existsSync(at("other/program.json")));
});

test("with the paddle preset the loss falls from epoch to epoch, bit for bit the same on 1 and 2 threads", () => {
  const train = (name: string, threads: string) =>
    succeed("train", at("dataset"), "--output", at(name), "--preset", "paddle", "--epochs", "3", "--threads", threads);
  train("paddle-1", "1");
  train("paddle-2", "2");
  const loss = (epoch: number) =>
    JSON.parse(readFileSync(at(`paddle-1/epoch-${epoch}/config.json`), "utf8")).training.loss;
  assert.ok(loss(2) < loss(1) && loss(3) < loss(2), `${loss(1)}, ${loss(2)}, ${loss(3)}`);
  const weights = (name: string) => readFileSync(join(at(name), "model.safetensors"));
  assert.ok(weights("paddle-1").equals(weights("paddle-2")));
});

test("a schema with numbers, other columns and other attributes needs no code", () => {
  const schema = {
    columns: [
      { name: "age", kind: "number" },
      { name: "user_id" },
      { name: "note", kind: "ignore" },
      { name: "clicks" },
      { name: "device" },
    ],
    click: [{ name: "video" }, { name: "topics", multiple: true }, { name: "author" }],
  };
  writeFileSync(at("schema.json"), JSON.stringify(schema));
  const lines = Array.from({ length: 60 }, (_, u) => {
    const clicks = Array.from({ length: 5 }, (_, i) => `w${(u + i) % 9}:t${i % 3}_t${u % 4}:a${(u + i) % 2}`);
    return `${u % 7 === 0 ? "NULL" : 20 + u}\tp${u}\tanything\t${clicks.join(";")}\td${u % 2}`;
  });
  writeFileSync(at("other.tsv"), `${lines.join("\n")}\n`);
  succeed(
    "prepare",
    at("other.tsv"),
    "--schema",
    at("schema.json"),
    "--output",
    at("other-dataset"),
    "--feature-appear-limit",
    "0",
  );
  succeed("train", at("other-dataset"), "--output", at("other-model"), "--epochs", "1", "--set", "draws=4");
  const shortlists = jsonLines<Shortlist>(
    succeed("recommend", at("other-model"), at("other.tsv"), "--top", "3", "--keep-watched"),
  );
  assert.equal([shortlists.length, shortlists[0]!.user, shortlists[0]!.items.length], [60, "p0", 3]);
  const inspection = JSON.parse(succeed("inspect", at("other-model"), "--json"));
  assert.ok(inspection.parameters.some(({ name }: { name: string }) => name === "embedding.author"));
});

test.run();
