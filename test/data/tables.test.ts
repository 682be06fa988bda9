import { writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  areClickLogs,
  type EventSource,
  type HoldOut,
  openDataset,
  parseSchema,
  parseTableSource,
  prepareDataset,
  prepareTables,
  type TableSource,
  understandTables,
} from "../../src/index.js";
import {
  clickLogOf,
  type Event,
  events,
  HAS_DUCKDB,
  jsonLinesOf,
  runSql,
  textOf,
  writeParquet,
} from "./table_files.js";
import { expectError, failureOf, withFiles } from "./temporary.js";

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "clicks" }],
  click: [{ name: "item" }, { name: "time", kind: "time" }],
});
const MEMBERS = ["dataset.json", "clicks.safetensors", "vocabulary/item.tsv", "vocabulary/user_id.tsv"];

async function datasetOf(output: string, source: EventSource, options = {}) {
  return prepareTables({ source: { events: source }, output, featureAppearLimit: 0, ...options });
}

/** Expects that both datasets have the same bytes. */
async function expectSame(found: string, expected: string): Promise<void> {
  for (const member of MEMBERS) {
    assert.ok(
      (await readFile(join(found, member))).equals(await readFile(join(expected, member))),
      `${found}/${member}`,
    );
  }
}

/** Understands a text as a table. */
async function understood(content: string | Buffer, source: EventSource = {}) {
  let result: Awaited<ReturnType<typeof understandTables>> | undefined;
  await withFiles(async (at) => {
    await writeFile(at("table"), content);
    result = await understandTables({ source: { events: { files: [at("table")], ...source } } });
  });
  return result!;
}

async function refused(
  content: string,
  code: "ERR_TABLE" | "ERR_CONFIG",
  message: string | RegExp,
  source: EventSource = {},
) {
  return expectError(understood(content, source), code, message);
}

const tables = HAS_DUCKDB ? test : test.skip;

// Every file is called `events`: what it is stands in it.
tables("a dataset is the same bytes whichever form the events came in, a click log's included", async () => {
  await withFiles(async (at, folder) => {
    const all = events();
    const put = async (name: string, content: string | Buffer) => {
      await mkdir(at(name), { recursive: true });
      await writeFile(at(`${name}/events`), content);
    };
    await put("log", clickLogOf(all));
    await prepareDataset({ logs: [at("log/events")], output: at("log.ds"), schema: SCHEMA, featureAppearLimit: 0 });
    await put("csv", textOf(all, ","));
    await put("crlf", `\ufeff${textOf(all, ",", { end: "\r\n" })}`);
    await put("semicolons", textOf(all, ";"));
    await put("tabs", textOf(all, "\t"));
    await put("gzip", gzipSync(textOf(all, ",")));
    await put("json", jsonLinesOf(all));
    await put("json-list", `[\n${jsonLinesOf(all).trim().replaceAll("\n", ",\n")}\n]`);
    await put("json-gzip", gzipSync(jsonLinesOf(all)));
    await mkdir(at("parquet"));
    await writeParquet(folder, at("parquet/events"), all);
    await mkdir(at("zstd"));
    await put("plain", textOf(all, ","));
    const copy = `COPY (SELECT * FROM read_csv('${at("plain/events")}', all_varchar = true)) TO '${at("zstd/events")}'`;
    await runSql(`${copy} (FORMAT csv, COMPRESSION zstd)`);
    const given: Record<string, EventSource> = {};
    for (const name of [
      "csv",
      "crlf",
      "semicolons",
      "tabs",
      "gzip",
      "json",
      "json-list",
      "json-gzip",
      "parquet",
      "zstd",
    ]) {
      assert.is(await areClickLogs([at(`${name}/events`)]), false, name);
      const prepared = await datasetOf(at(`${name}.ds`), { files: [at(`${name}/events`)], ...given[name] });
      assert.is(prepared.clicks, all.length);
      await expectSame(at(`${name}.ds`), at("log.ds"));
    }
    await put("colons", textOf(all, "::", { header: false }));
    const numbered = { user: "1", item: "2", time: "4" };
    await datasetOf(at("colons.ds"), { files: [at("colons/events")], ...numbered });
    await expectSame(at("colons.ds"), at("log.ds"));
    assert.equal((await readdir(at("csv.ds"))).sort(), ["clicks.safetensors", "dataset.json", "vocabulary"]);
  });
});

tables("one table may be several files, a pattern, a folder, or partitions of Hive", async () => {
  await withFiles(async (at, folder) => {
    const all = events();
    const parts = [all.slice(0, 50), all.slice(50, 51), all.slice(51)];
    await mkdir(at("whole"));
    await writeParquet(folder, at("whole/part-0.parquet"), all);
    await datasetOf(at("expected"), { files: [at("whole/part-0.parquet")] });
    for (const [i, part] of parts.entries()) {
      await mkdir(at(`many/day=2026-11-0${i + 1}`), { recursive: true });
      await writeParquet(folder, at(`many/day=2026-11-0${i + 1}/part-0.parquet`), part, 1024);
    }
    await writeFile(at("many/_SUCCESS"), "");
    const files = parts.map((_, i) => at(`many/day=2026-11-0${i + 1}/part-0.parquet`));
    const events_ = async (source: EventSource) => {
      await datasetOf(at("found"), source);
      return (await openDataset(at("found"))).clicks;
    };
    const expected = (await openDataset(at("expected"))).clicks;
    for (const given of [files, [at("many")], [at("many/*/*.parquet")], [at("many/**/*.parquet")]]) {
      assert.equal(await events_({ files: given }), expected);
    }
    const where = "day = '2026-11-02'";
    assert.is((await events_({ files: [at("many")], where })).clicks, 1);
    const { tables } = await understandTables({ source: { events: { files: [at("many")] } } });
    assert.is(tables[0]!.files, 3);
    assert.ok(tables[0]!.columns.some(({ name, meaning }) => name === "day" && meaning === undefined));
    await expectError(events_({ files: [at("none/*.csv")] }), "ERR_FILE", "no file has such a name");
    await expectError(events_({ files: [at("none.csv")] }), "ERR_FILE", "it does not exist");
  });
});

tables("columns are told by the names that people use", async () => {
  const headers: Record<string, readonly [user: string, item: string, time: string | null]> = {
    "user_id,item_id,rating,timestamp": ["user_id", "item_id", "timestamp"],
    "userId,movieId,rating,timestamp": ["userId", "movieId", "timestamp"],
    "UserID,ItemID,Category,ts": ["UserID", "ItemID", "ts"],
    "user_id:token,item_id:token,rating:float,timestamp:float": ["user_id:token", "item_id:token", "timestamp:float"],
    "session_id,timestamp,item_id,category": ["session_id", "item_id", "timestamp"],
    "user_id,video_id,time_ms,date": ["user_id", "video_id", "time_ms"],
    "user_id,parent_asin,asin,timestamp": ["user_id", "parent_asin", "timestamp"],
    "user_id,session_id,product_id,n": ["user_id", "product_id", null],
  };
  for (const [header, [user, item, time]] of Object.entries(headers)) {
    const names = header.split(",");
    const row = (r: number) => names.map((_, c) => (names[c] === time ? 1700000000 + r : 10 * c + (r % 3))).join(",");
    const { source } = await understood(`${header}\n${[0, 1, 2, 3].map(row).join("\n")}\n`);
    assert.equal([source.events?.user, source.events?.item, source.events?.time], [user, item, time], header);
  }
});

tables("what is ambiguous is an error that lists the candidates, and can be overruled", async () => {
  const content = "user_id,customer_id,item_id,product_id\n1,2,3,4\n1,2,5,6\n";
  await refused(
    content,
    "ERR_TABLE",
    "one column of the user but 2 may be: user_id (1); customer_id (2). Choose one with --user",
  );
  await refused(content, "ERR_TABLE", /item but 2 may be: item_id \(3, 5\); product_id .*--item/, { user: "user_id" });
  const { source } = await understood(content, { user: "customer_id", item: "product_id" });
  assert.equal([source.events?.user, source.events?.item], ["customer_id", "product_id"]);
  await refused(content, "ERR_TABLE", 'there is none named "usr_id". Did you mean "user_id"?', { user: "usr_id" });
  await refused("who,what\na,b\nc,d\n", "ERR_TABLE", "Expected columns", { separator: "\t", user: "x" }).catch(
    () => undefined,
  );
  await refused(
    "1::10::5\n2::20::3\n",
    "ERR_TABLE",
    "Choose with --user and --item. Its columns: 1 (1, 2); 2 (10, 20); 3 (5, 3)",
  );
  await refused(
    "user_id,item_id,when_,time\n1,2,3,soon\n",
    "ERR_TABLE",
    /Expected times in column "time".*"soon".*--no-time/,
  );
  const none = await understood("user_id,item_id,time\n1,2,soon\n", { time: null });
  assert.is(none.source.events?.time, null);
});

tables("times in seconds, milli-, micro- and nanoseconds, as dates and as numbers are told apart", async () => {
  const written: Record<string, string> = {
    s: "1700000000.25",
    ms: "1700000000250",
    us: "1700000000250000",
    ns: "1700000000250000123",
    date: "2023-11-14T22:13:20.25Z",
    number: "17",
  };
  for (const [unit, value] of Object.entries({
    ...written,
    date2: "2023-11-14 23:13:20.25+01:00",
    date3: "2023-11-14",
  })) {
    const expected = unit.replace(/\d$/, "");
    const content = `user_id,item_id,timestamp\n1,a,${value}\n1,b,${value}\n`;
    const { source, tables } = await understood(content);
    assert.is(source.events?.unit, expected, value);
    assert.ok(tables[0]!.columns[2]!.meaning!.startsWith("time "));
    await withFiles(async (at) => {
      await writeFile(at("events"), content);
      await datasetOf(at("ds"), { files: [at("events")] });
      const { times } = (await openDataset(at("ds"))).clicks;
      const seconds = { number: 17, date3: 1699920000 }[unit] ?? 1700000000.25;
      assert.equal([...times!.values], [seconds, seconds], value);
    });
  }
});

tables("events of nanoseconds are in their order, and equal times keep the order of rows", async () => {
  await withFiles(async (at) => {
    const base = 1700000000250000000n;
    const rows = [3n, 1n, 2n, 1n, 2n].map((plus, row) => `1,i${row},${base + plus}`);
    await writeFile(at("events"), `user_id,item_id,timestamp\n${rows.join("\n")}\n`);
    await datasetOf(at("ds"), { files: [at("events")] });
    const { clicks, vocabularies } = await openDataset(at("ds"));
    const items = [...clicks.itemFeatures[0]!.ids].map((id) => vocabularies.get("item")!.token(id));
    assert.equal(items, ["i1", "i3", "i2", "i4", "i0"]);
  });
});

tables("events without a time stay in the order of rows, those of a missing time come first", async () => {
  const itemsOf = async (content: string, source: EventSource = {}) => {
    let items: string[] = [];
    await withFiles(async (at) => {
      await writeFile(at("events"), content);
      await datasetOf(at("ds"), { files: [at("events")], ...source });
      const { clicks, vocabularies } = await openDataset(at("ds"));
      items = [...clicks.itemFeatures[0]!.ids].map((id) => vocabularies.get("item")!.token(id));
    });
    return items;
  };
  assert.equal(await itemsOf("user_id,item_id\n2,c\n1,b\n1,a\n2,d\n"), ["b", "a", "c", "d"]);
  assert.equal(await itemsOf("user_id,item_id,ts\n1,b,5\n1,a,NULL\n1,c,4\n"), ["a", "c", "b"]);
  assert.equal(await itemsOf("user_id,item_id,ts\n1,b,5\n1,c,4\n", { time: null }), ["b", "c"]);
});

tables("a condition and a query choose and make events", async () => {
  await withFiles(async (at) => {
    const all = events();
    await writeFile(at("events"), textOf(all, ","));
    const good = all.filter(({ rating }) => rating >= 4);
    await datasetOf(at("where"), { files: [at("events")], where: "rating >= 4" });
    await mkdir(at("kept"));
    await writeFile(at("kept/events"), textOf(good, ","));
    await datasetOf(at("expected"), { files: [at("kept/events")] });
    await expectSame(at("where"), at("expected"));
    await writeFile(at("sequences"), "user_id\titem_id_list\nu1\t7 8 9\nu2\t9 8\n");
    const query = `SELECT user_id, unnest(string_split(item_id_list, ' ')) AS item_id FROM events`;
    const prepared = await datasetOf(at("unnested"), { files: [at("sequences")], query });
    assert.equal([prepared.users, prepared.clicks], [2, 5]);
    await expectError(
      datasetOf(at("x"), { files: [at("events")], where: "ratng > 1" }),
      "ERR_TABLE",
      /"ratng" not found/,
    );
    const nothing = datasetOf(at("x"), { files: [at("events")], where: "rating > 9" });
    await expectError(nothing, "ERR_TABLE", "at least a row for which rating > 9 but received none");
  });
});

tables("SQL of a source reads the table and nothing else", async () => {
  await withFiles(async (at) => {
    await writeFile(at("events"), textOf(events(), ","));
    await writeFile(at("secret.csv"), "user_id,item_id\n1,2\n1,3\n");
    for (const query of [
      `SELECT * FROM read_csv('${at("secret.csv")}')`,
      `SELECT * FROM '${at("secret.csv")}'`,
      `SELECT 1 AS user_id, content AS item_id FROM read_text('${at("secret.csv")}')`,
      "SELECT * FROM 'https://example.org/events.parquet'",
    ]) {
      const error = await failureOf(datasetOf(at("x"), { files: [at("events")], query }));
      assert.match(error.message, /disabled by configuration|does not exist|not found|Missing Extension/, query);
    }
    for (const where of [
      `1=1); COPY (SELECT 1) TO '${at("made.csv")}'; SELECT (1=1`,
      "1=1); SET enable_external_access=true; SELECT (1=1",
    ]) {
      await failureOf(datasetOf(at("x"), { files: [at("events")], where }));
    }
    assert.equal((await readdir(at("."))).sort(), ["events", "secret.csv"]);
  });
});

tables("a table with a row a user, and a sequence in a row, are errors with the way out", async () => {
  await withFiles(async (at) => {
    await writeFile(at("users"), "user_id,item_id,age\n1,5,20\n2,6,30\n3,5,25\n");
    const message = await expectError(datasetOf(at("x"), { files: [at("users")] }), "ERR_TABLE", "each of the 3 users");
    assert.match(message, "docs/data.md#sequences");
    await writeFile(at("u"), "user_id\titem_id\n1\t5 6 7\n2\t8 9\n");
    const sequence = await expectError(
      datasetOf(at("x"), { files: [at("u")] }),
      "ERR_TABLE",
      'column "item_id" holds several: 5 6 7',
    );
    const { query } = (JSON.parse(/\{"events".*\}\}/.exec(sequence)![0]) as TableSource).events!;
    assert.equal((await datasetOf(at("ds"), { files: [at("u")], query })).clicks, 5);
    const json = '{"user_id":1,"items":["a","b"]}\n{"user_id":2,"items":["c"]}\n';
    await writeFile(at("j"), json);
    const list = await expectError(
      datasetOf(at("x"), { files: [at("j")] }),
      "ERR_TABLE",
      'Column "items" holds a sequence',
    );
    const made = (JSON.parse(/\{"events".*\}\}/.exec(list)![0]) as TableSource).events!.query!;
    assert.equal((await datasetOf(at("ds"), { files: [at("j")], query: made })).clicks, 3);
  });
});

tables("rows without a user or item are left out and counted, broken ones are an error or skipped", async () => {
  await withFiles(async (at) => {
    const rows = ["1,a,5", "1,b,6", ",c,7", "NULL,c,7", "1,,8", "2,a,9", "2,b,10"];
    await writeFile(at("events"), `user_id,item_id,ts\n${rows.join("\n")}\n`);
    const warnings: string[] = [];
    const onWarning = (message: string) => warnings.push(message.replace(/^\S+: /, ""));
    const prepared = await datasetOf(at("ds"), { files: [at("events")] }, { onWarning });
    assert.equal([prepared.users, prepared.clicks], [2, 4]);
    assert.equal(warnings.slice(0, 2), ["2 rows without a user are left out", "1 rows without an item are left out"]);
    const broken = [...Array.from({ length: 30 }, (_, i) => `${i % 3},i${i % 4},${i}`), "1,a,b,c,d", "1,a,later"];
    await writeFile(at("events"), `user_id,item_id,ts\n${broken.join("\n")}\n`);
    await expectError(
      datasetOf(at("x"), { files: [at("events")] }),
      "ERR_TABLE",
      /Cannot read the table: .*(line|Line|column)/i,
    );
    const skipped = await datasetOf(at("ds"), { files: [at("events")] }, { onBadLine: "skip" });
    assert.equal([skipped.clicks, skipped.report.skipped], [30, 2]);
    assert.match(skipped.report.badLines[0]!, /events:32: /);
    assert.match(skipped.report.badLines[1]!, 'Expected a time in column "ts" but received "later"');
    await writeFile(at("events"), `user_id,item_id,ts\n${broken.filter((row) => row !== "1,a,b,c,d").join("\n")}\n`);
    await expectError(
      datasetOf(at("x"), { files: [at("events")] }),
      "ERR_TABLE",
      /received "later"\. Leave such rows out/,
    );
  });
});

tables("the last events, or those from a time on, are held out and written as a log", async () => {
  await withFiles(async (at) => {
    const rows = ["1,a,10", "1,b,20", "1,c,30", "2,b,15", "2,a,30", "2,c,40", "3,a,5", "4,d,50", "5,a,", "5,b,60"];
    await writeFile(at("events"), `user_id,item_id,ts\n${rows.join("\n")}\n`);
    await mkdir(at("kept"));
    const expectSplit = async (holdOut: HoldOut, lines: readonly string[], kept: readonly string[]) => {
      const prepared = await datasetOf(at("ds"), { files: [at("events")] }, { holdOut });
      assert.equal((await readFile(at("ds/test.tsv"), "utf8")).trimEnd().split("\n"), lines);
      assert.is(prepared.testUsers, lines.length);
      await writeFile(at("kept/events"), `user_id,item_id,ts\n${kept.join("\n")}\n`);
      await datasetOf(at("expected"), { files: [at("kept/events")] });
      const [found, expected] = [await openDataset(at("ds")), await openDataset(at("expected"))];
      // Texts, as NaN is unlike itself.
      const { times, ...clicks } = found.clicks;
      assert.is(times!.values.join(), expected.clicks.times!.values.join());
      const { times: _, ...others } = expected.clicks;
      assert.equal(clicks, others);
      for (const [name, { tokens, counts }] of expected.vocabularies) {
        assert.equal(found.vocabularies.get(name)!.tokens, tokens, name);
        assert.equal(found.vocabularies.get(name)!.counts, counts, name);
      }
    };
    await expectSplit(
      "last",
      ["1\ta:10;b:20;c:30", "2\tb:15;a:30;c:40", "5\ta:;b:60"],
      ["1,a,10", "1,b,20", "2,b,15", "2,a,30", "3,a,5", "4,d,50", "5,a,"],
    );
    await expectSplit(
      { splitTime: 30 },
      ["1\ta:10;b:20;c:30", "2\tb:15;a:30", "5\ta:;b:60"],
      ["1,a,10", "1,b,20", "2,b,15", "3,a,5", "5,a,"],
    );
    await datasetOf(at("ds"), { files: [at("events")] });
    assert.not.ok((await readdir(at("ds"))).includes("test.tsv"));
    const hold = (holdOut: unknown, source: EventSource = {}) =>
      datasetOf(at("ds"), { files: [at("events")], ...source }, { holdOut });
    await expectError(hold({ splitTime: 1000 }), "ERR_DATASET", "choose another --split-time");
    await expectError(hold({ splitTime: 20 }, { time: null }), "ERR_DATASET", "Expected times to split by");
    for (const wrong of ["first", {}, { splitTime: "x" }, { splitTime: 1, x: 2 }, null]) {
      await expectError(hold(wrong), "ERR_OPTION", 'Expected holdOut to be "last" or { splitTime: a number }');
    }
    await writeFile(at("events"), "user_id,item_id\n1,a:b\n1,c_d\n1,e\n");
    await hold("last");
    assert.is(await readFile(at("ds/test.tsv"), "utf8"), "1\ta\\:b;c_d;e\n");
  });
});

tables("what was understood is a source that says everything", async () => {
  const content = textOf(events(), "\t", { end: "\r\n" });
  const { source, tables: found } = await understood(content);
  const { files: _, ...rest } = source.events!;
  assert.equal(rest, {
    ...{ format: "csv", compression: "none", separator: "\t", header: true, quotes: true, encoding: "utf-8" },
    ...{ user: "user_id", item: "item_id", time: "timestamp", unit: "ms" },
  });
  assert.equal(source.version, 1);
  assert.equal(parseTableSource(JSON.parse(JSON.stringify(source))), source);
  const again = await understood(content, rest);
  assert.equal(again.tables[0]!.columns, found[0]!.columns);
  const [user, item, rating] = found[0]!.columns;
  assert.equal([user?.meaning, item?.meaning, rating?.meaning], ["user", "item", undefined]);
  assert.is(user?.samples.length, 3);
  const holes = await understood("user_id,item_id,x\n1,2,\n1,3,5\n");
  assert.is(holes.tables[0]!.columns[2]!.missing, 0.5);
});

test("a source with an unknown key or a wrong value is refused", () => {
  const wrong: readonly [unknown, string][] = [
    [{ evnts: {} }, 'Unknown key "evnts". Did you mean "events"?'],
    [{ events: { usr: "x" } }, 'source: events: Unknown key "usr". Did you mean "user"?'],
    [{ events: { unit: "minutes" } }, 'Expected s or ms or us or ns or date or number for "unit"'],
    [{ events: { files: "x" } }, 'Expected a list of texts that are not empty for "files"'],
    [
      { version: 2 },
      'Expected 1, the version of this form (a newer Shortlist writes others) for "version" but received 2',
    ],
    [[], "Expected an object but received []"],
    [{ missing: ["a\tb"] }, 'Expected a list of words without tab, newline or NUL for "missing"'],
  ];
  for (const [value, message] of wrong) {
    assert.throws(
      () => parseTableSource(value),
      (error: Error & { code?: string }) => error.code === "ERR_CONFIG" && error.message.includes(message),
      message,
    );
  }
});

tables("text of other encodings is read, bytes that are none of it are refused", async () => {
  await withFiles(async (at) => {
    const content = "user_id,item_id\n1,café\n1,naïve\n2,café\n";
    await writeFile(at("latin"), Buffer.from(content, "latin1"));
    await writeFile(at("utf16"), Buffer.from(`\ufeff${content}`, "utf16le"));
    await writeFile(at("utf8"), content);
    for (const name of ["latin", "utf16", "utf8"]) {
      await datasetOf(at("ds"), { files: [at(name)] });
      const tokens = (await openDataset(at("ds"))).vocabularies.get("item")!.tokens;
      assert.equal(tokens, ["<unk>", "café", "naïve"], name);
    }
  });
});

tables("an empty table, one without rows, and a broken file are errors; the output stays as it was", async () => {
  await withFiles(async (at, folder) => {
    await writeFile(at("events"), textOf(events(), ","));
    await datasetOf(at("ds"), { files: [at("events")] });
    const before = await readFile(at("ds/dataset.json"), "utf8");
    await writeFile(at("empty"), "user_id,item_id\n");
    await writeParquet(folder, at("whole.parquet"), events());
    await writeFile(at("cut.parquet"), (await readFile(at("whole.parquet"))).subarray(0, 400));
    for (const name of ["empty", "cut.parquet"]) {
      await expectError(datasetOf(at("ds"), { files: [at(name)] }), "ERR_TABLE", /./);
    }
    await writeFile(at("many.csv"), textOf(events(4000), ","));
    const copy = `COPY (SELECT * FROM read_csv('${at("many.csv")}', all_varchar = true)) TO '${at("many.csv.zst")}'`;
    await runSql(`${copy} (FORMAT csv, COMPRESSION zstd)`);
    await writeFile(at("many.csv.gz"), gzipSync(await readFile(at("many.csv"))));
    for (const name of ["many.csv.gz", "many.csv.zst"]) {
      await datasetOf(at("whole"), { files: [at(name)] });
      const bytes = await readFile(at(name));
      for (const length of [bytes.length >> 1, bytes.length - 1]) {
        await writeFile(at(`cut-${name}`), bytes.subarray(0, length));
        const cut = datasetOf(at("ds"), { files: [at(`cut-${name}`)] });
        await expectError(cut, "ERR_FILE", /Cannot decompress .*Is the file whole\?/);
      }
    }
    const controller = new AbortController();
    controller.abort(new Error("enough"));
    assert.is(
      (await failureOf(datasetOf(at("ds"), { files: [at("events")] }, { signal: controller.signal }))).message,
      "enough",
    );
    const stopped = new AbortController();
    const onUnderstood = () => stopped.abort(new Error("later"));
    const late = datasetOf(at("ds"), { files: [at("events")] }, { signal: stopped.signal, onUnderstood });
    assert.is((await failureOf(late)).message, "later");
    const change = () => writeFileSync(at("events"), textOf(events(50), ","));
    const changed = datasetOf(at("ds"), { files: [at("events")] }, { onUnderstood: change });
    await expectError(changed, "ERR_TABLE", "events: The file changed while it was read: prepare it again");
    assert.is(await readFile(at("ds/dataset.json"), "utf8"), before);
    assert.equal(
      (await readdir(folder)).filter((name) => name.startsWith(".")),
      [],
    );
  });
});

test("click logs and tables are told apart by what is in them", async () => {
  await withFiles(async (at) => {
    const kinds: Record<string, readonly [content: string | Buffer, isLog: boolean]> = {
      log: ["u1\tp\tc\ti1:a:x_y;i2:b:z\t1\n", true],
      "log.gz": [gzipSync("u1\tp\tc\ti1:a:x_y;i2:b:z\t1\n"), true],
      "bad log": ["u1\tp\tc\tNULL\t1\nu2\n", true],
      empty: ["", true],
      "one column": ["a\nb\n", true],
      "table.csv": ["user_id,item_id\n1,2\n", false],
      inter: ["user_id:token\titem_id:token\n1\t2\n", false],
      numbers: ["1\t2\t3\t4\n1\t2\t3\t5\n", false],
      dat: ["1::2::3::4\n", false],
      json: ['{"a":1}\n', false],
    };
    for (const [name, [content, isLog]] of Object.entries(kinds)) {
      await writeFile(at(name), content);
      assert.is(await areClickLogs([at(name)]), isLog, name);
    }
    await expectError(areClickLogs([at("log"), at("json")]), "ERR_TABLE", "but received both");
    assert.is(await areClickLogs([at("not-there")]), true);
    assert.is(await areClickLogs([at("*.csv")]), false);
  });
});

test("a click log may be compressed with gzip", async () => {
  await withFiles(async (at) => {
    const all: Event[] = events();
    await mkdir(at("a"));
    await mkdir(at("b"));
    await writeFile(at("a/events"), clickLogOf(all));
    await writeFile(at("b/events"), gzipSync(clickLogOf(all)));
    for (const name of ["a", "b"]) {
      await prepareDataset({
        logs: [at(`${name}/events`)],
        output: at(`${name}.ds`),
        schema: SCHEMA,
        featureAppearLimit: 0,
      });
    }
    await expectSame(at("b.ds"), at("a.ds"));
    await writeFile(at("cut"), gzipSync(clickLogOf(all)).subarray(0, 200));
    const cut = prepareDataset({ logs: [at("cut")], output: at("x"), schema: SCHEMA });
    await expectError(cut, "ERR_FILE", /Cannot decompress .*cut: .*Is the file whole\?/);
  });
});

test.run();
