import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset, type PrepareOptions, prepareDataset } from "../../src/data/dataset.js";
import { readSafetensors, writeSafetensors } from "../../src/data/safetensors.js";
import { parseSchema } from "../../src/data/schema.js";
import { prepareTables, type TableSource, understandTables } from "../../src/index.js";
import { events, HAS_DUCKDB, textOf } from "./table_files.js";
import { type At, clickLogWithout, expectError, withFiles, withoutIds } from "./temporary.js";

const tables = HAS_DUCKDB ? test : test.skip;

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "clicks" }],
  click: [{ name: "item" }, { name: "seen", kind: "weight" }, { name: "time", kind: "time" }],
});

/** Prepares a log of these lines, and returns what was prepared and the weights of the dataset. */
async function prepare(at: At, lines: readonly string[], options: Partial<PrepareOptions> = {}) {
  await writeFile(at("log.tsv"), `${lines.join("\n")}\n`);
  const prepared = await prepareDataset({
    ...{ logs: [at("log.tsv")], output: at("dataset"), schema: SCHEMA, featureAppearLimit: 0, ...options },
  });
  const { name, values, mean } = (await openDataset(at("dataset"))).clicks.weights!;
  return { prepared, name, values: [...values], mean };
}

const LOG = ["u1\ta:.5:1;b::5", "u2\ta:0:2;c:NULL:3;a:4:4", "u1\td:1.5:3"];

test("weights are stored for each click; a missing one is 1", () =>
  withFiles(async (at) => {
    const { prepared, name, values, mean } = await prepare(at, LOG.slice(0, 2));
    assert.equal([name, values, mean], ["seen", [0.5, 1, 0, 1, 4], 1.3]);
    assert.equal(prepared.weights, { smallest: 0, largest: 4, mean: 1.3 });
  }));

test("weights stay with their clicks where lines are joined and clicks are held out", () =>
  withFiles(async (at) => {
    assert.equal((await prepare(at, LOG)).values, [0.5, 1.5, 1, 0, 1, 4]);
    const held = await prepare(at, LOG, { holdOut: "last" });
    assert.equal([held.values, held.mean], [[0.5, 1.5, 0, 1], 0.75]);
    assert.is(await readFile(at("dataset/test.tsv"), "utf8"), "u1\ta:0.5:1;d:1.5:3;b:1:5\nu2\ta:0:2;c:1:3;a:4:4\n");
  }));

test("weights stay with their clicks where a dataset grows", () =>
  withFiles(async (at) => {
    await prepare(at, LOG.slice(0, 2));
    await writeFile(at("new.tsv"), "u2\te:7:9;a::10\nu3\tb:2:8\n");
    await prepareDataset({ logs: [at("new.tsv")], output: at("grown"), from: at("dataset") });
    const { values, mean } = (await openDataset(at("grown"))).clicks.weights!;
    assert.equal([[...values], mean], [[0.5, 1, 0, 1, 4, 7, 1, 2], 16.5 / 8]);
  }));

test("a source without weights gives every click the weight 1", () =>
  withFiles(async (at) => {
    await writeFile(at("log.tsv"), `${LOG.join("\n")}\n`);
    const source = clickLogWithout("weights", at("log.tsv"));
    assert.equal((await prepare(at, LOG, { logs: [source] })).values, [1, 1, 1, 1, 1, 1]);
  }));

test("weights below 0, infinite ones, and only zeros are refused", () =>
  withFiles(async (at) => {
    for (const weight of ["-1", "-1e-30", "1e39", "1e999", "nul", "0x1"]) {
      const expected = `Expected a number of at least 0 for seen of click 2 but received "${weight}"`;
      await expectError(prepare(at, [`u1\ta:1:1;b:${weight}:2`]), "ERR_LOG", expected);
    }
    await expectError(
      prepare(at, ["u1\ta:0:1;b:0:2"]),
      "ERR_DATASET",
      "a weight above 0 but all 2 clicks have the weight 0",
    );
    await expectError(
      prepare(at, ["u1\ta:0:1;b:1:2"], { holdOut: "last" }),
      "ERR_DATASET",
      "a weight above 0 but all 1 clicks have the weight 0",
    );
    await prepare(at, LOG);
    for (const [i, [weights, message]] of (
      [
        [Float32Array.of(1, 1, -1, 1, 1, 1), 'Expected elements of "seen" that are at least 0 but element 2 is -1'],
        [Float32Array.of(1, Number.NaN, 1, 1, 1, 1), "but element 1 is NaN"],
        [new Float32Array(6), 'Expected an element of "seen" above 0'],
        [new Float32Array(5).fill(1), 'There is no float32 array "seen" of 6 elements'],
      ] as const
    ).entries()) {
      const broken = at(`broken-${i}`);
      await cp(at("dataset"), broken, { recursive: true });
      const file = join(broken, "clicks.safetensors");
      const { tensors } = await readSafetensors(file);
      const others = [...tensors].flatMap(([name, { dtype, shape, data }]) =>
        name === "seen" ? [] : [{ name, dtype, shape, data }],
      );
      const seen = { name: "seen", dtype: "float32", shape: [weights.length], data: weights } as const;
      await writeSafetensors(file, [...others, seen]);
      await withoutIds(join(broken, "dataset.json"));
      await expectError(openDataset(broken), "ERR_DATASET", message);
    }
  }));

tables("the weights of a table give the dataset of a click log with the same weights", () =>
  withFiles(async (at) => {
    const all = events();
    const users = [...new Set(all.map(({ user }) => user))].sort();
    const weightOf = (rating: number) => (rating === 3 ? "" : String(rating / 4 - 0.25));
    const lines = users.map((user) => {
      const own = all.filter((event) => event.user === user).sort((a, b) => a.time - b.time);
      return `${user}\t${own.map(({ item, time, rating }) => `${item}:${time / 1000}:${weightOf(rating)}`).join(";")}\n`;
    });
    const click = [{ name: "item" }, { name: "time", kind: "time" }, { name: "weight", kind: "weight" }];
    const schema = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click });
    await writeFile(at("events"), lines.join(""));
    await prepareDataset({ logs: [at("events")], output: at("expected"), schema });
    await writeFile(at("events"), textOf(all, ","));
    for (const time of ["timestamp", null]) {
      const query = "SELECT *, CASE WHEN rating = 3 THEN NULL ELSE rating / 4 - 0.25 END AS seen FROM events";
      const source: TableSource = { events: { files: [at("events")], query, weight: "seen", time } };
      const prepared = await prepareTables({ source, output: at("found") });
      assert.equal([prepared.weights!.smallest, prepared.weights!.largest], [0, 1]);
      if (time === null) continue;
      for (const member of ["dataset.json", "clicks.safetensors", "vocabulary/item.tsv"]) {
        assert.ok((await readFile(at(`found/${member}`))).equals(await readFile(at(`expected/${member}`))), member);
      }
      const { source: whole, tables: found } = await understandTables({ source });
      assert.is(whole.events!.weight, "seen");
      assert.is(found[0]!.columns.find(({ name }) => name === "seen")!.meaning, "weight");
    }
  }),
);

tables("weights of a table that are no weights are errors, or left out", () =>
  withFiles(async (at) => {
    const rows = ["1,a,1", "1,b,none", "1,c,", "2,a,-1", "2,b,2", "2,c,many"];
    await writeFile(at("events"), `user_id,item_id,seen\n${rows.join("\n")}\n`);
    const source: TableSource = { events: { files: [at("events")], weight: "seen" }, missing: ["none"] };
    const options = { source, output: at("dataset"), featureAppearLimit: 0 };
    const expected = /Expected a weight of at least 0 in column "seen" but received "(-1|many)", and 1 more such rows/;
    await expectError(prepareTables(options), "ERR_TABLE", expected);
    const prepared = await prepareTables({ ...options, onBadLine: "skip" });
    assert.equal([prepared.clicks, prepared.report.skipped], [4, 2]);
    assert.equal([...(await openDataset(at("dataset"))).clicks.weights!.values], [1, 1, 1, 2]);
    const unknown = { ...source, events: { ...source.events, weight: "sen" } };
    await expectError(prepareTables({ ...options, source: unknown }), "ERR_TABLE", 'Did you mean "seen"?');
  }),
);

test.run();
