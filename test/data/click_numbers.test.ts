import { readFile, writeFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LastClickBatches } from "../../src/data/batches.js";
import { openDataset, type PrepareOptions, prepareDataset } from "../../src/data/dataset.js";
import { parseSchema } from "../../src/data/schema.js";
import { prepareTables, type TableSource, understandTables } from "../../src/index.js";
import { events, HAS_DUCKDB, textOf } from "./table_files.js";
import { type At, clickLogWithout, expectError, withFiles } from "./temporary.js";

const tables = HAS_DUCKDB ? test : test.skip;

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "clicks" }],
  click: [
    ...[{ name: "item" }, { name: "price", kind: "number" }, { name: "time", kind: "time" }],
    { name: "seen", kind: "number" },
  ],
});

const NONE = Number.NaN;
const LOG = ["u1\ta:.5:1:1;b::5:0", "u2\ta:-1:2:;c:NULL:3:0.25;a:4:4:1", "u1\td:8.5:3:"];

/** Opens a dataset and returns its numbers as text, without statistics. */
async function numbersOf(folder: string) {
  const { clicks, numbers } = await openDataset(folder);
  const [price, seen] = clicks.clickNumbers!;
  assert.equal([price!.name, seen!.name, [...numbers.keys()].join()], ["price", "seen", "price,seen"]);
  for (const { name, mean, standardDeviation } of clicks.clickNumbers!) {
    assert.equal(numbers.get(name), { mean, standardDeviation });
  }
  return { price: [...price!.values], seen: [...seen!.values], mean: price!.mean, deviation: price!.standardDeviation };
}

/** Prepares a log of these lines, and returns what was prepared and the numbers of the dataset. */
async function prepare(at: At, lines: readonly string[], options: Partial<PrepareOptions> = {}) {
  await writeFile(at("log.tsv"), `${lines.join("\n")}\n`);
  const prepared = await prepareDataset({
    ...{ logs: [at("log.tsv")], output: at("dataset"), schema: SCHEMA, featureAppearLimit: 0, ...options },
  });
  return { prepared, ...(await numbersOf(at("dataset"))) };
}

test("numbers are stored for each click, with their mean and standard deviation", () =>
  withFiles(async (at) => {
    const { prepared, price, seen, mean, deviation } = await prepare(at, ["u1\ta:1:1:1;b::5:0;c:4:6:NULL"]);
    assert.equal([price, seen, mean, deviation], [[1, NONE, 4], [1, 0, NONE], 2.5, 1.5]);
    assert.equal(prepared.clickNumbers, [
      { name: "price", mean: 2.5, standardDeviation: 1.5, smallest: 1, largest: 4, missing: 1 },
      { name: "seen", mean: 0.5, standardDeviation: 0.5, smallest: 0, largest: 1, missing: 1 },
    ]);
    const { clicks } = await openDataset(at("dataset"));
    const { inputs, dims } = new LastClickBatches({ clicks, window: 9, windows: "sliding" }).batch(0);
    assert.equal([dims["positions"], inputs["price"]], [2, Float32Array.of(-1, 0)]);
    assert.equal(inputs["seen"], Float32Array.of(1, -1));
    const none = await prepare(at, ["u1\ta::1:;b::5:"]);
    assert.equal([none.price, none.mean, none.deviation], [[NONE, NONE], 0, 0]);
    const { smallest, largest, missing } = none.prepared.clickNumbers![0]!;
    assert.equal([smallest, largest, missing], [NONE, NONE, 2]);
  }));

test("numbers stay with their clicks where lines are joined and clicks are held out", () =>
  withFiles(async (at) => {
    const joined = await prepare(at, LOG);
    assert.equal([joined.price, joined.mean], [[0.5, 8.5, NONE, -1, NONE, 4], 3]);
    const held = await prepare(at, LOG, { holdOut: "last" });
    assert.equal(
      [held.price, held.seen],
      [
        [0.5, 8.5, -1, NONE],
        [1, NONE, NONE, 0.25],
      ],
    );
    assert.equal(Math.fround(held.mean), Math.fround(8 / 3));
    const expected = "u1\ta:0.5:1:1;d:8.5:3:;b::5:0\nu2\ta:-1:2:;c::3:0.25;a:4:4:1\n";
    assert.is(await readFile(at("dataset/test.tsv"), "utf8"), expected);
  }));

test("where a dataset grows, numbers stay with their clicks and keep their mean and standard deviation", () =>
  withFiles(async (at) => {
    const { mean, deviation } = await prepare(at, LOG.slice(0, 2));
    await writeFile(at("new.tsv"), "u2\te:70:9:1;a::10:\nu3\tb:20:8:0\n");
    await prepareDataset({ logs: [at("new.tsv")], output: at("grown"), from: at("dataset") });
    const grown = await numbersOf(at("grown"));
    assert.equal([grown.price, grown.mean, grown.deviation], [[0.5, NONE, -1, NONE, 4, 70, NONE, 20], mean, deviation]);
    const last = { from: at("grown"), history: 1, evictAfter: 1, output: at("again") };
    await writeFile(at("new.tsv"), "u3\tb:30:9:0\nu2\tb:40:12:0\n");
    await prepareDataset({ logs: [at("new.tsv")], ...last });
    assert.equal((await numbersOf(at("again"))).price, [NONE, 40, 20, 30]);
  }));

test("a source without numbers gives clicks without them", () =>
  withFiles(async (at) => {
    await writeFile(at("log.tsv"), `${LOG.join("\n")}\n`);
    const source = clickLogWithout("clickNumbers", at("log.tsv"));
    const { price, mean } = await prepare(at, LOG, { logs: [source] });
    assert.equal([price, mean], [new Array(6).fill(NONE), 0]);
  }));

test("what is no number that float32 can hold is refused", () =>
  withFiles(async (at) => {
    for (const number of ["1e39", "-1e999", "nul", "0x1", " 1"]) {
      const expected = /e\d+$/.test(number) ? "a number that float32 can hold" : "a number";
      const message = `Expected ${expected} for seen of click 2 but received "${number}"`;
      await expectError(prepare(at, [`u1\ta:1:1:1;b:1:2:${number}`]), "ERR_LOG", message);
    }
  }));

tables("the numbers of a table give the dataset of a click log with the same numbers", () =>
  withFiles(async (at) => {
    const all = events();
    const users = [...new Set(all.map(({ user }) => user))].sort();
    const seenOf = (rating: number) => (rating === 3 ? "" : String(rating / 4 - 0.3));
    const lines = users.map((user) => {
      const own = all.filter((event) => event.user === user).sort((a, b) => a.time - b.time);
      const clicks = own.map(
        ({ item, time, rating }) => `${item}:${time / 1000}:${6 - rating}:${rating}:${seenOf(rating)}`,
      );
      return `${user}\t${clicks.join(";")}\n`;
    });
    const click = [
      ...[{ name: "item" }, { name: "time", kind: "time" }, { name: "weight", kind: "weight" }],
      ...["rating", "share_seen"].map((name) => ({ name, kind: "number" })),
    ];
    const schema = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click });
    await writeFile(at("events"), lines.join(""));
    await prepareDataset({ logs: [at("events")], output: at("expected"), schema });
    await writeFile(at("events"), textOf(all, ","));
    const query =
      'SELECT *, 6 - rating AS w, CASE WHEN rating = 3 THEN NULL ELSE rating / 4 - 0.3 END AS "Share seen" FROM events';
    for (const time of ["timestamp", null]) {
      const numbers = ["rating", "share seen"];
      const source: TableSource = { events: { files: [at("events")], query, weight: "w", numbers, time } };
      const prepared = await prepareTables({ source, output: at("found") });
      const [rating, seen] = prepared.clickNumbers!;
      assert.equal([rating!.smallest, rating!.largest, rating!.missing], [1, 5, 0]);
      assert.ok(seen!.missing > 0);
      if (time === null) continue;
      for (const member of ["dataset.json", "clicks.safetensors", "vocabulary/item.tsv"]) {
        assert.ok((await readFile(at(`found/${member}`))).equals(await readFile(at(`expected/${member}`))), member);
      }
      const { source: whole, tables: found } = await understandTables({ source });
      assert.equal(whole.events!.numbers, ["rating", "Share seen"]);
      const meanings = new Map(found[0]!.columns.map(({ name, meaning }) => [name, meaning]));
      assert.equal([meanings.get("rating"), meanings.get("Share seen")], ["number", "number share_seen"]);
    }
  }),
);

tables("numbers of a table that are no numbers are errors, or left out", () =>
  withFiles(async (at) => {
    const rows = ["1,a,1,1", "1,b,none,2", "1,c,,3", "2,a,-1,4", "2,b,2,1e39", "2,c,many,x"];
    await writeFile(at("events"), `user_id,item_id,seen,time spent\n${rows.join("\n")}\n`);
    const given = (numbers: string[]): TableSource => ({
      events: { files: [at("events")], numbers },
      missing: ["none"],
    });
    const options = { source: given(["seen"]), output: at("dataset"), featureAppearLimit: 0 };
    const expected = 'Expected a number in column "seen" but received "many". Leave such rows out';
    await expectError(prepareTables(options), "ERR_TABLE", expected);
    const prepared = await prepareTables({ ...options, source: given(["seen", "time spent"]), onBadLine: "skip" });
    assert.equal([prepared.clicks, prepared.report.skipped], [4, 2]);
    const [seen, spent] = (await openDataset(at("dataset"))).clicks.clickNumbers!;
    assert.equal([seen!.name, [...seen!.values]], ["seen", [1, NONE, NONE, -1]]);
    assert.equal([spent!.name, [...spent!.values]], ["time_spent", [1, 2, 3, 4]]);
    for (const [numbers, problem] of [
      [["sen"], 'Did you mean "seen"?'],
      [["seen", "Seen"], 'Expected different columns of numbers but received "seen" twice'],
    ] as const) {
      await expectError(prepareTables({ ...options, source: given([...numbers]) }), "ERR_TABLE", problem);
    }
  }),
);

test.run();
