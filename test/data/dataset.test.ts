import { appendFileSync, existsSync, statSync } from "node:fs";
import { mkdir, readdir, readFile, symlink, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset, type PrepareOptions, prepareDataset } from "../../src/data/dataset.js";
import { encodeLog } from "../../src/data/encode_log.js";
import { readSafetensors, writeSafetensors } from "../../src/data/safetensors.js";
import { DEFAULT_SCHEMA, parseSchema } from "../../src/data/schema.js";
import { clickLog } from "../../src/data/sources/click_log.js";
import type { LogSource } from "../../src/data/sources/source.js";
import { expectError, failureOf, withFolder, withoutIds } from "./temporary.js";

const LOG = [
  "u1\tp1\tc1\ta:x:t1_t2;b:x:t2;a:x:t1_t2\tm",
  "u2\tp1\tNULL\ta:x:t1;c:y:\tm",
  "u3\tp2\tc1\tb:y:t2_t3\tn",
  "",
].join("\n");

async function withLog(
  work: (folder: string, options: PrepareOptions & { readonly logs: readonly string[] }) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    await mkdir(join(folder, "work"));
    await writeFile(join(folder, "log.tsv"), LOG);
    const output = join(folder, "work", "dataset");
    await work(folder, { logs: [join(folder, "log.tsv")], output, featureAppearLimit: 1 });
  });
}

test("prepares and opens a dataset", async () => {
  await withLog(async (_, options) => {
    const passes: number[] = [];
    const prepared = await prepareDataset({ ...options, progress: (pass) => passes.push(pass) });
    assert.equal(prepared.vocabularySizes, {
      user_id: 1,
      province: 2,
      city: 2,
      phone: 2,
      item: 3,
      category: 3,
      tags: 3,
    });
    assert.equal([prepared.users, prepared.clicks, prepared.report.skipped], [3, 6, 0]);
    assert.equal(passes, [1]);
    assert.equal((await readdir(options.output)).sort(), ["clicks.safetensors", "dataset.json", "vocabulary"]);
    assert.is(await readFile(join(options.output, "vocabulary", "tags.tsv"), "utf8"), "<unk>\t2\nt2\t4\nt1\t3\n");
    assert.is(await readFile(join(options.output, "vocabulary", "user_id.tsv"), "utf8"), "<unk>\t3\n");

    const { clicks, schema, vocabularies, appearLimits, logs } = await openDataset(options.output);
    assert.equal(schema, DEFAULT_SCHEMA);
    assert.equal(appearLimits, { user_id: 1, province: 1, city: 1, phone: 1, item: 1, category: 1, tags: 1 });
    assert.equal(logs, [{ name: "log.tsv", lines: 3, skipped: 0 }]);
    assert.equal(vocabularies.get("item")!.tokens, ["<unk>", "a", "b"]);
    assert.equal([...vocabularies.get("item")!.counts], [1, 3, 2]);
    assert.equal([...clicks.clickOffsets], [0, 3, 5, 6]);
    assert.equal(
      clicks.userFeatures.map(({ name, ids }) => [name, ...ids]),
      [
        ["user_id", 0, 0, 0],
        ["province", 1, 1, 0],
        ["city", 1, 0, 1],
        ["phone", 1, 1, 0],
      ],
    );
    assert.equal(
      clicks.itemFeatures.map(({ name, ids, offsets }) => [name, [...ids], offsets && [...offsets]]),
      [
        ["item", [1, 2, 1, 1, 0, 2], undefined],
        ["category", [1, 1, 1, 1, 2, 2], undefined],
        ["tags", [2, 1, 1, 2, 1, 2, 0, 1, 0], [0, 2, 3, 5, 6, 7, 9]],
      ],
    );
  });
});

test("number features, ignored columns and another order", async () => {
  await withFolder(async (folder) => {
    const log = join(folder, "log.tsv");
    await writeFile(log, "v1;v2\t10\tjunk\tzoe\nv1\tNULL\tjunk\tNULL\nv2\t16\tjunk\tabe\n");
    const schema = parseSchema({
      columns: [
        { name: "clicks" },
        { name: "age", kind: "number" },
        { name: "x", kind: "ignore" },
        { name: "user_id", kind: "ignore" },
      ],
      click: [{ name: "video" }],
    });
    const output = join(folder, "dataset");
    await prepareDataset({ logs: [log], output, schema, featureAppearLimit: 1 });
    const dataset = await openDataset(output);
    assert.equal([...dataset.numbers], [["age", { mean: 13, standardDeviation: 3 }]]);
    assert.equal([...dataset.clicks.numbers[0]!.values], [10, Number.NaN, 16]);
    assert.equal([...dataset.vocabularies.keys()], ["video"]);
    await writeFile(log, "v2;new\t7\tjunk\tzed\n");
    const { clicks, userIds } = await encodeLog([log], dataset);
    assert.equal(userIds, ["zed"]);
    assert.equal([...clicks.itemFeatures[0]!.ids], [2, 0]);
    assert.equal([clicks.numbers[0]!.mean, ...clicks.numbers[0]!.values], [13, 7]);
    const nameless = parseSchema({ columns: [{ name: "clicks" }], click: [{ name: "video" }] });
    await writeFile(log, "v1\nv2\n");
    assert.equal((await encodeLog([log], { ...dataset, schema: nameless })).userIds, ["1", "2"]);
  });
});

test("times of clicks are kept without loss, with their range, and encoded for other logs too", async () => {
  await withFolder(async (folder) => {
    const log = join(folder, "log.tsv");
    await writeFile(log, "v1:1650615878629.125:x;v2::y\nv1:NULL:x\nv2:-7:y;v1:0.1:x\n");
    const schema = parseSchema({
      columns: [{ name: "clicks" }],
      click: [{ name: "video" }, { name: "at", kind: "time" }, { name: "kind" }],
    });
    const output = join(folder, "dataset");
    await prepareDataset({ logs: [log], output, schema, featureAppearLimit: 0 });
    const dataset = await openDataset(output);
    const { values, earliest, latest } = dataset.clicks.times!;
    assert.equal([...values], [1650615878629.125, Number.NaN, Number.NaN, -7, 0.1]);
    assert.equal([earliest, latest], [-7, 1650615878629.125]);
    assert.equal(dataset.schema, schema);
    assert.equal([...dataset.vocabularies.keys()], ["video", "kind"]);
    assert.equal(
      dataset.clicks.itemFeatures.map(({ name, ids }) => [name, ...ids]),
      [
        ["video", 1, 2, 1, 2, 1],
        ["kind", 1, 2, 1, 2, 1],
      ],
    );
    assert.equal([...(await encodeLog([log], dataset)).clicks.times!.values], [...values]);
    const lines = Array.from({ length: 800 }, (_, u) => `v1:${u}:x;v2:${u + 0.5}:y\n`);
    await writeFile(log, lines.join(""));
    const { clicks } = await encodeLog([log], dataset);
    assert.equal(
      [...clicks.times!.values],
      Array.from({ length: 1600 }, (_, c) => c / 2),
    );
    await writeFile(log, "v1::x\n");
    const { times } = (await encodeLog([log], dataset)).clicks;
    assert.equal([...times!.values, times!.earliest, times!.latest], [Number.NaN, Number.NaN, Number.NaN]);

    await withoutIds(join(output, "dataset.json"));
    const path = join(output, "clicks.safetensors");
    const { tensors } = await readSafetensors(path);
    const rewrite = (data: Float64Array | undefined) =>
      writeSafetensors(
        path,
        [...tensors].flatMap(([name, tensor]) => {
          if (name !== "at") return [{ name, ...tensor }];
          return data ? [{ name, dtype: "float64" as const, shape: [data.length], data }] : [];
        }),
      );
    const refuse = (message: string) => expectError(openDataset(output), "ERR_DATASET", message);
    await rewrite(undefined);
    await refuse('There is no float64 array "at" of 5 elements');
    await rewrite(Float64Array.of(1, 2));
    await refuse('There is no float64 array "at" of 5 elements');
    await rewrite(Float64Array.of(1, 2, Number.NEGATIVE_INFINITY, 4, 5));
    await refuse('Expected finite elements of "at" but element 2 is -Infinity');
  });
});

test("the same logs give the same bytes, and encode to the same clicks", async () => {
  await withLog(async (folder, options) => {
    await prepareDataset(options);
    const other = join(folder, "other");
    await prepareDataset({ ...options, output: other });
    for (const name of ["dataset.json", "clicks.safetensors", "vocabulary/item.tsv"]) {
      assert.equal(await readFile(join(options.output, name)), await readFile(join(other, name)), name);
    }
    const dataset = await openDataset(other);
    const { clicks, userIds } = await encodeLog(options.logs, dataset);
    assert.equal(clicks, dataset.clicks);
    assert.equal(userIds, ["u1", "u2", "u3"]);
  });
});

test("a failed or stopped prepare leaves nothing behind", async () => {
  await withLog(async (folder, options) => {
    const output = join(folder, "new", "deep", "dataset");
    const nothing = async () => assert.equal((await readdir(folder)).sort(), ["log.tsv", "work"]);
    await expectError(prepareDataset({ ...options, output, logs: [join(folder, "none.tsv")] }), "ERR_FILE", "none.tsv");
    await nothing();
    const hopeless = { ...options, output, featureAppearLimit: 20 };
    const message =
      'Expected a value of "item" that appears more than 20 times, but the most frequent of 3 appears 3 times: lower --feature-appear-limit';
    await expectError(prepareDataset(hopeless), "ERR_VOCABULARY", message);
    await nothing();
    // Rows in TypeScript, which are read twice.
    const source = clickLog(options.logs[0]!);
    const rows: LogSource = { ...source, read: (...given) => source.read(...given) };
    for (const stopAt of [1, 2]) {
      const controller = new AbortController();
      const progress = (pass: number) => {
        if (pass === stopAt) controller.abort(new Error("stopped"));
      };
      const logs = [rows, rows];
      const work = prepareDataset({ ...options, output, logs, signal: controller.signal, progress });
      assert.is((await failureOf(work)).message, "stopped");
      await nothing();
    }
    const grow = (pass: number) => {
      if (pass === 2 && statSync(options.logs[0]!).size === LOG.length) appendFileSync(options.logs[0]!, LOG);
    };
    await expectError(
      prepareDataset({ ...options, output, logs: [rows], progress: grow }),
      "ERR_LOG",
      "The log changed while it was read",
    );
    await nothing();
    await expectError(prepareDataset({ ...options, featureAppearLimit: -1 }), "ERR_OPTION", "featureAppearLimit");
  });
});

test("replaces a dataset only when the new one is complete, and nothing that is not a dataset", async () => {
  await withLog(async (folder, options) => {
    await prepareDataset(options);
    const before = await readFile(join(options.output, "dataset.json"));
    await writeFile(join(folder, "bad.tsv"), "bad\n");
    await expectError(
      prepareDataset({ ...options, logs: [join(folder, "bad.tsv")] }),
      "ERR_LOG",
      /bad\.tsv:1: field 2/,
    );
    assert.equal(await readFile(join(options.output, "dataset.json")), before);
    await prepareDataset({ ...options, featureAppearLimit: 0 });
    assert.is((await openDataset(options.output)).appearLimits["item"], 0);

    await symlink(options.output, join(folder, "link"));
    await prepareDataset({ ...options, output: join(folder, "link") });
    assert.is((await openDataset(options.output)).appearLimits["item"], 1);
    assert.equal(await readdir(join(folder, "work")), ["dataset"]);

    const inside = join(options.output, "mine.tsv");
    await writeFile(inside, LOG);
    await expectError(prepareDataset({ ...options, logs: [inside] }), "ERR_DATASET", "it holds mine.tsv");
    assert.is(await readFile(inside, "utf8"), LOG);
    await expectError(
      prepareDataset({ ...options, output: folder }),
      "ERR_DATASET",
      "it is a folder that is not a dataset",
    );
    await expectError(prepareDataset({ ...options, output: options.logs[0]! }), "ERR_DATASET", "it is a file");
    await mkdir(join(folder, "empty"));
    await prepareDataset({ ...options, output: join(folder, "empty") });
    await openDataset(join(folder, "empty"));
  });
});

test("bad lines can be skipped, and the dataset remembers how many", async () => {
  await withLog(async (_, options) => {
    await writeFile(options.logs[0]!, `bad\n${LOG}`);
    await expectError(prepareDataset(options), "ERR_LOG", /log\.tsv:1/);
    const { report } = await prepareDataset({ ...options, onBadLine: "skip" });
    assert.is(report.skipped, 1);
    assert.equal((await openDataset(options.output)).logs, [{ name: "log.tsv", lines: 3, skipped: 1 }]);
  });
});

test("a folder that is no whole dataset is refused with the way out", async () => {
  await withLog(async (folder, options) => {
    const { output } = options;
    const refuse = (message: string, at = output) => expectError(openDataset(at), "ERR_DATASET", message);
    await refuse("There is no such folder. Make a dataset from click logs first");
    await refuse("The folder is not a dataset: it has no dataset.json", folder);
    await refuse("It is a file, not a dataset folder", options.logs[0]!);

    await prepareDataset(options);
    const json = join(output, "dataset.json");
    await withoutIds(json);
    const description = JSON.parse(await readFile(json, "utf8"));
    const edit = (changes: object) => writeFile(json, JSON.stringify({ ...description, ...changes }));
    await writeFile(json, "{");
    await refuse("dataset.json is not a JSON object. Prepare the dataset again from its logs");
    await edit({ format: "other" });
    await refuse('dataset.json: Expected format "shortlist-dataset" but received "other"');
    await edit({ version: 4 });
    await refuse(
      "Expected a version from 1 to 3 but received 4: a newer Shortlist wrote it. Update Shortlist, or prepare the dataset",
    );
    await edit({ schema: { columns: [] } });
    await refuse("dataset.json: Expected a list that is not empty");
    await edit({ users: 4 });
    await refuse('Expected 5 elements of "click_offsets" but received 4');
    await edit({ clicks: 5 });
    await refuse('Expected "click_offsets" to run from 0 to 5');
    await edit({ users: undefined });
    await refuse("Expected users and clicks above 0");
    await edit({
      schema: { ...description.schema, columns: [...description.schema.columns, { name: "age", kind: "number" }] },
    });
    await refuse('dataset.json has no mean and standard_deviation of "age"');
    await edit({});

    const path = join(output, "clicks.safetensors");
    const { tensors } = await readSafetensors(path);
    const rewrite = (name: string, data: Int32Array | undefined) =>
      writeSafetensors(
        path,
        [...tensors].flatMap(([other, tensor]) => {
          if (other !== name) return [{ name: other, ...tensor }];
          return data ? [{ name, dtype: "int32" as const, shape: [data.length], data }] : [];
        }),
      );
    await rewrite("item", undefined);
    await refuse('There is no int32 array "item"');
    await rewrite("item", Int32Array.of(1, 2));
    await refuse('Expected 6 elements of "item" but received 2');
    await rewrite("item", Int32Array.of(1, 2, 1, 1, 3, 2));
    await refuse('Expected ids of "item" from 0 to 2 but element 4 is 3');
    await rewrite("phone", Int32Array.of(1, -1, 0));
    await refuse('Expected ids of "phone" from 0 to 1 but element 1 is -1');
    await rewrite("click_offsets", Int32Array.of(0, 3, 3, 6));
    await refuse('Expected "click_offsets" to rise but element 2 does not');
    await rewrite("tags_offsets", Int32Array.of(1, 2, 3, 5, 6, 7, 9));
    await refuse('Expected "tags_offsets" to run from 0 to 9');
    await rewrite("", undefined);
    await openDataset(output);
    await truncate(path, (await readFile(path)).length - 4);
    await refuse("it is cut short. Prepare the dataset again from its logs");
    await truncate(join(output, "vocabulary", "item.tsv"), 3);
    await expectError(openDataset(output), "ERR_VOCABULARY", "item.tsv:1");
  });
});

const ML_100K = join(dirname(fileURLToPath(import.meta.url)), "../../../shared/data/logs/ml-100k.tsv");

test("MovieLens 100K agrees with a plain count", async () => {
  if (!existsSync(ML_100K)) {
    console.log("skipped: MovieLens 100K is not beside the project (shared/data/logs/ml-100k.tsv)");
    return;
  }
  await withFolder(async (folder) => {
    const output = join(folder, "dataset");
    await prepareDataset({ logs: [ML_100K], output, featureAppearLimit: 20 });
    const { clicks, vocabularies } = await openDataset(output);
    const users = (await readFile(ML_100K, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t")[3]!.split(";"));
    assert.equal([clicks.users, clicks.clicks], [943, 100_000]);
    const counts = new Map<string, number>();
    for (const texts of users) {
      for (const text of texts) {
        const item = text.split(":")[0]!;
        counts.set(item, (counts.get(item) ?? 0) + 1);
      }
    }
    const kept = [...counts].filter(([, count]) => count > 20);
    const vocabulary = vocabularies.get("item")!;
    assert.is(vocabulary.size, kept.length + 1);
    for (const [item, count] of kept) assert.is(vocabulary.counts[vocabulary.idOf(item)], count);
    let c = 0;
    const [items, , tags] = clicks.itemFeatures;
    for (const texts of users) {
      for (const text of texts) {
        const [item, , tagText] = text.split(":") as [string, string, string];
        assert.is(items!.ids[c], counts.get(item)! > 20 ? vocabulary.idOf(item) : 0);
        const ids = tags!.ids.subarray(tags!.offsets![c]!, tags!.offsets![c + 1]!);
        assert.equal(
          [...ids],
          tagText.split("_").map((tag) => vocabularies.get("tags")!.idOf(tag)),
        );
        c++;
      }
    }
  });
});

test("words that may mean a missing value are named, and the schema decides", async () => {
  await withFolder(async (folder) => {
    const log = join(folder, "log.tsv");
    await writeFile(log, "u1\tnone;None;a\nu2\tNull;a;b\nunknown\ta\n");
    const written = { columns: [{ name: "user_id" }, { name: "clicks" }], click: [{ name: "item" }] };
    const prepare = async (missing?: string[]) => {
      const schema = parseSchema({ ...written, ...(missing && { missing }) });
      const { suspects } = await prepareDataset({
        logs: [log],
        output: join(folder, "d"),
        schema,
        featureAppearLimit: 0,
      });
      const dataset = await openDataset(join(folder, "d"));
      assert.equal(dataset.schema.missing, schema.missing);
      return suspects.map(({ feature, token, count }) => `${feature} ${token} ${count}`);
    };
    assert.equal(await prepare(), ["user_id unknown 1", "item Null 1", "item none 1"]);
    assert.equal(await prepare(["none", "Null", "unknown"]), ["item None 1"]);
  });
});

test("a dataset keeps the longest line of its logs for those that are read later", async () => {
  await withFolder(async (folder) => {
    const log = join(folder, "log.tsv");
    await writeFile(log, "a;b\n");
    const schema = parseSchema({ columns: [{ name: "clicks" }], click: [{ name: "item" }] });
    const output = join(folder, "d");
    await prepareDataset({ logs: [log], output, schema, featureAppearLimit: 0, maxLineBytes: 3 });
    const dataset = await openDataset(output);
    await writeFile(log, "a;ba\n");
    await expectError(encodeLog([log], dataset), "ERR_LOG", "log.tsv:1: Expected at most 3 bytes");
    assert.is((await encodeLog([log], dataset, { maxLineBytes: 4 })).report.lines, 1);
    const path = join(output, "dataset.json");
    const description = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ ...description, max_line_bytes: "3" }));
    await expectError(openDataset(output), "ERR_DATASET", "max_line_bytes");
    delete description.max_line_bytes;
    await writeFile(path, JSON.stringify(description));
    assert.is((await encodeLog([log], await openDataset(output))).report.lines, 1, "older datasets have no limit");
  });
});

test("a history that is not divided into clicks is an error, not one item", async () => {
  await withFolder(async (folder) => {
    const schema = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click: [{ name: "item" }] });
    const prepare = async (lines: readonly string[]) => {
      const log = join(folder, "sequences.tsv");
      await writeFile(log, lines.map((line) => `${line}\n`).join(""));
      return prepareDataset({ logs: [log], output: join(folder, "out"), schema });
    };
    for (const separator of [" ", ",", "|"]) {
      const lines = ["u1\t5 7 9", "u2\t7 5", "u3\t11 9 5 7"].map((line) => line.replaceAll(" ", separator));
      const message = `put ";" in place of "${separator}"`;
      await expectError(prepare(lines), "ERR_LOG", message);
    }
    assert.is((await prepare(["u1\t5;7;9", "u2\t7;5"])).clicks, 5);
    assert.is((await prepare(["u1\tToy Story 2", "u2\tJumanji", "u3\tHeat 1"])).clicks, 3);
    // Ids with spaces in histories of several clicks are no lists.
    assert.is((await prepare(["u1\t5 7;5 8", "u2\t5 8;5 7"])).clicks, 4);
  });
});

test.run();
