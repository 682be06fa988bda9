import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { formatFloat32 } from "../../src/data/hold_out.js";
import {
  type HoldOut,
  openDataset,
  parseSchema,
  prepareDataset,
  prepareTables,
  type Schema,
  type TableSource,
  testLogOf,
} from "../../src/index.js";
import { type Event, events, HAS_DUCKDB, textOf } from "./table_files.js";
import { expectError, withFiles } from "./temporary.js";

const tables = HAS_DUCKDB ? test : test.skip;

const SCHEMA = parseSchema({
  columns: [
    { name: "note", kind: "ignore" },
    { name: "user_id" },
    { name: "age", kind: "number" },
    { name: "clicks" },
    { name: "city" },
  ],
  click: [{ name: "item" }, { name: "time", kind: "time" }, { name: "kind" }, { name: "tags", multiple: true }],
});

/** Expects that two datasets have the same members with the same bytes, but for the test log and the names of logs. */
async function expectSame(found: string, expected: string): Promise<void> {
  const [a, b] = [await openDataset(found), await openDataset(expected)];
  assert.equal([...a.vocabularies.keys()], [...b.vocabularies.keys()]);
  for (const [name, { tokens, counts }] of b.vocabularies) {
    assert.equal(a.vocabularies.get(name)!.tokens, tokens, name);
    assert.equal(a.vocabularies.get(name)!.counts, counts, name);
  }
  assert.equal([...a.numbers], [...b.numbers]);
  assert.equal(a.appearLimits, b.appearLimits);
  // Texts for what may be NaN, which is unlike itself.
  const comparable = ({ times, numbers, ...others }: typeof a.clicks) => [
    others,
    times?.values.join(),
    numbers.map(({ values, ...statistics }) => [values.join(), statistics]),
  ];
  assert.equal(comparable(a.clicks), comparable(b.clicks));
}

/** Prepares a log with held-out clicks, and compares the dataset with that of the kept clicks. */
async function expectSplit(
  holdOut: HoldOut,
  log: readonly string[],
  expected: { readonly kept: readonly string[]; readonly held: readonly string[] },
  { schema = SCHEMA, limit = 0 }: { readonly schema?: Schema; readonly limit?: number | "auto" } = {},
): Promise<void> {
  await withFiles(async (at) => {
    const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");
    await writeFile(at("log"), text(log));
    await writeFile(at("kept"), text(expected.kept));
    const options = { schema, featureAppearLimit: limit };
    const prepared = await prepareDataset({ ...options, logs: [at("log")], output: at("ds"), holdOut });
    assert.is(await readFile(at("ds/test.tsv"), "utf8"), text(expected.held));
    assert.is(prepared.testUsers, expected.held.length);
    assert.is(await testLogOf(at("ds")), at("ds/test.tsv"));
    await prepareDataset({ ...options, logs: [at("kept")], output: at("expected") });
    assert.is(await testLogOf(at("expected")), undefined);
    await expectSame(at("ds"), at("expected"));
  });
}

const LOG = [
  "x\tu1\t20.1\ta:10:k:s_t;b:20::;<unk>:30:k:_t;c:40:m:s\tGhent",
  "y\tu2\t\ta:15:k:s;a::k:t_u_v\tDelft",
  "z\tu3\t33\tb:35:m:\t",
  "\tu4\t7\td:50:m:u;a:60:k:w_s\tGhent",
];

for (const limit of [0, "auto", 1] as const) {
  test(`last clicks held out of a click log leave the dataset of the others, with the limit ${limit}`, async () => {
    const kept = [
      "\tu1\t20.1\ta:10:k:s_t;b:20::;NULL:30:k:_t\tGhent",
      "\tu2\tNULL\ta:15:k:s\tDelft",
      "\tu3\t33\tb:35:m:\t",
      "\tu4\t7\td:50:m:u\tGhent",
    ];
    const held = [
      "\tu1\t20.1\ta:10:k:s_t;b:20::;<unk>:30:k:_t;c:40:m:s\tGhent",
      "\tu2\t\ta:15:k:s;a::k:t_u_v\tDelft",
      "\tu4\t7\td:50:m:u;a:60:k:w_s\tGhent",
    ];
    await expectSplit("last", LOG, { kept, held }, { limit });
  });
}

test("clicks from a time on are held out of a click log; users without an earlier one are left out", async () => {
  const kept = ["\tu1\t20.1\ta:10:k:s_t;b:20::\tGhent", "\tu2\tNULL\ta:15:k:s;a::k:t_u_v\tDelft"];
  const held = ["\tu1\t20.1\ta:10:k:s_t;b:20::;<unk>:30:k:_t\tGhent"];
  await expectSplit({ splitTime: 30 }, LOG, { kept, held });
  // From the first click of that time on, whatever the order of the times.
  const unordered = ["\tu1\t\ta:1:k:;b:9:k:;c:2:k:;d::k:\t", "\tu2\t\ta:1:k:;c:2:k:;d:3:k:;e:9:k:\t"];
  const others = ["\tu1\t\ta:1:k:\t", "\tu2\t\ta:1:k:;c:2:k:;d:3:k:\t"];
  const tests = ["\tu1\t\ta:1:k:;b:9:k:\t", "\tu2\t\ta:1:k:;c:2:k:;d:3:k:;e:9:k:\t"];
  await expectSplit({ splitTime: 9 }, unordered, { kept: others, held: tests });
});

test("the lines of a user are joined first; identities that are no feature stay in the test log", async () => {
  const schema = parseSchema({
    columns: [{ name: "clicks" }, { name: "user_id", kind: "ignore" }],
    click: [{ name: "item" }, { name: "time", kind: "time" }],
  });
  const log = ["a:1;b:3\tu1", "c:5\tu2", "d:2;e:9\tu1", "f:7;g:8\tu3"];
  await expectSplit(
    "last",
    log,
    { kept: ["a:1;d:2;b:3\tu1", "c:5\tu2", "f:7\tu3"], held: ["a:1;d:2;b:3;e:9\tu1", "f:7;g:8\tu3"] },
    { schema },
  );
  await withFiles(async (at) => {
    await writeFile(at("log"), `${log.join("\n")}\n`);
    const options = { logs: [at("log")], output: at("ds"), schema, featureAppearLimit: 0, holdOut: "last" } as const;
    const prepared = await prepareDataset(options);
    assert.equal([prepared.users, prepared.clicks, prepared.joinedLines, prepared.report.lines], [3, 5, 1, 4]);
    const apart = await prepareDataset({ ...options, repeatUsers: "keep" });
    assert.equal([apart.users, apart.clicks, apart.testUsers], [4, 4, 3]);
    assert.is(await readFile(at("ds/test.tsv"), "utf8"), "a:1;b:3\tu1\nd:2;e:9\tu1\nf:7;g:8\tu3\n");
  });
});

const KINDS = ["drama", "war", "", "comedy"];
const itemsOf = (all: readonly Event[]) => [...new Set(all.map(({ item }) => item))].sort();
const usersOf = (all: readonly Event[]) => [...new Set(all.map(({ user }) => user))].sort();
const quoted = (value: string) => (/[",]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

tables("the same events as a table and as a click log give the same dataset and the same test log", async () => {
  const schema = parseSchema({
    columns: [{ name: "user_id" }, { name: "age", kind: "number" }, { name: "clicks" }],
    click: [{ name: "item" }, { name: "kinds", multiple: true }, { name: "time", kind: "time" }],
  });
  await withFiles(async (at) => {
    const all = events();
    const kindOf = (item: string) => KINDS[itemsOf(all).indexOf(item) % 4]!;
    const ageOf = (u: number) => (u % 5 === 4 ? "" : String(20 + u / 10));
    await mkdir(at("csv"));
    await mkdir(at("log"));
    await writeFile(at("csv/events"), textOf(all, ","));
    const itemRows = itemsOf(all).map((item) => `${quoted(item)},${kindOf(item)}`);
    await writeFile(at("csv/items"), ["item_id,kinds", ...itemRows, ""].join("\n"));
    await writeFile(at("csv/users"), ["user_id,age", ...usersOf(all).map((u, i) => `${u},${ageOf(i)}`), ""].join("\n"));
    const lines = usersOf(all).map((user, u) => {
      const own = all.filter((event) => event.user === user).sort((a, b) => a.time - b.time);
      return `${user}\t${ageOf(u)}\t${own.map(({ item, time }) => `${item}:${kindOf(item)}:${time / 1000}`).join(";")}\n`;
    });
    await writeFile(at("log/events"), lines.join(""));
    const source: TableSource = {
      events: { files: [at("csv/events")] },
      items: { files: [at("csv/items")], features: [{ column: "kinds", kind: "list", separator: "|" }] },
      users: { files: [at("csv/users")], features: [{ column: "age", kind: "number" }] },
    };
    const times = all.map(({ time }) => time).sort((a, b) => a - b);
    for (const holdOut of ["last", { splitTime: times[times.length >> 1]! / 1000 }] as const) {
      for (const featureAppearLimit of [0, "auto", { kinds: 30, user_id: 1 }] as const) {
        const options = { holdOut, featureAppearLimit };
        await prepareDataset({ ...options, logs: [at("log/events")], output: at("log.ds"), schema });
        await prepareTables({ ...options, source, output: at("table.ds") });
        const members = ["dataset.json", "clicks.safetensors", "test.tsv"];
        const names = (await readdir(at("log.ds/vocabulary"))).map((name) => `vocabulary/${name}`);
        assert.is(names.length, 3);
        for (const member of [...members, ...names]) {
          const [found, expected] = [await readFile(at(`table.ds/${member}`)), await readFile(at(`log.ds/${member}`))];
          assert.ok(found.equals(expected), member);
        }
      }
    }
  });
});

test("fields of clicks to ignore are empty in the test log", async () => {
  const schema = parseSchema({
    columns: [{ name: "clicks" }],
    click: [
      { name: "item" },
      { name: "a", kind: "ignore" },
      { name: "time", kind: "time" },
      { name: "b", kind: "ignore" },
    ],
  });
  const kept = ["a:x:1:y"];
  await expectSplit("last", ["a:x:1:y;b::2:z", "c:::"], { kept: [...kept, "c:::"], held: ["a::1:;b::2:"] }, { schema });
});

test("what cannot be held out is an error, and nothing is written", async () => {
  await withFiles(async (at) => {
    await writeFile(at("log"), "u1\ta:5\nu2\tb:6\nu1\tc:5\n");
    const schema = parseSchema({
      columns: [{ name: "user_id" }, { name: "clicks" }],
      click: [{ name: "item" }, { name: "time", kind: "time" }],
    });
    const hold = (holdOut: unknown, given = schema) =>
      prepareDataset({
        ...{ logs: [at("log")], output: at("ds"), schema: given, repeatUsers: "keep" },
        holdOut: holdOut as HoldOut,
      });
    await expectError(hold("last"), "ERR_DATASET", "log: Expected a user with clicks to keep and a click to hold out");
    await expectError(
      hold({ splitTime: 7 }),
      "ERR_DATASET",
      "choose another --split-time (now 7; the times are from 5 to 6)",
    );
    const timeless = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click: [{ name: "item" }] });
    await expectError(hold({ splitTime: 7 }, timeless), "ERR_DATASET", "Expected times to split by");
    for (const wrong of ["first", {}, { splitTime: "x" }, { splitTime: 1, x: 2 }, null]) {
      await expectError(hold(wrong), "ERR_OPTION", 'Expected holdOut to be "last" or { splitTime: a number }');
    }
    assert.equal(await readdir(at(".")), ["log"]);
    await expectError(testLogOf(at("log")), "ERR_DATASET", "It is a file, not a dataset folder");
  });
});

test("float32 numbers are written with as few digits as name them", () => {
  for (const value of [0, -0.1, 20.1, 1 / 3, 1e-40, 3.4028234663852886e38, 16777216, 123456.789, 1e10]) {
    const float = Math.fround(value);
    const text = formatFloat32(float);
    assert.is(Math.fround(Number(text)), float, text);
    assert.ok(text.length <= String(float).length, text);
  }
  assert.equal([20.1, 0.1, 1e10].map(Math.fround).map(formatFloat32), ["20.1", "0.1", "10000000000"]);
  assert.is(formatFloat32(Number.NaN), "");
});

test.run();
