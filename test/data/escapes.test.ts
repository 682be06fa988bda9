import { readdir, readFile, writeFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset, prepareDataset } from "../../src/data/dataset.js";
import { asWritten, escapeValue, hideEscaped, showEscaped } from "../../src/data/escapes.js";
import { parseSchema, parseStoredSchema } from "../../src/data/schema.js";
import { readLog } from "../../src/data/sources/read_log.js";
import type { LogRow, LogSource } from "../../src/data/sources/source.js";
import { prepareTables } from "../../src/data/tables/prepare_tables.js";
import { HAS_DUCKDB } from "./table_files.js";
import { asRows, expectError, withFiles } from "./temporary.js";

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "langs", multiple: true }, { name: "clicks" }],
  click: [{ name: "item" }, { name: "tags", multiple: true }, { name: "time", kind: "time" }],
});

/** Ids that a log could not hold without escapes, and some that begin like sequences or are words elsewhere. */
const IDS = [
  "a:b",
  "a;b",
  "a_b",
  "a\tb",
  "a\\",
  "\\",
  "\\\\t",
  "\\N",
  "\\:",
  "a\\tb",
  "\t",
  ":;_\t\\",
  "plain",
  "\u{1f43a}:",
];

/** The log of users who click all ids, one after the other. */
function logOf(users: readonly string[]): string {
  const tagsOf = (i: number) => [IDS[(i + 1) % IDS.length]!, IDS[(i + 3) % IDS.length]!];
  const list = (values: readonly string[], separators: string) =>
    values.map((value) => escapeValue(value, separators)).join("_");
  const clicks = IDS.map((id, i) => `${escapeValue(id, "\t:;")}:${list(tagsOf(i), "\t:;_")}:${i + 1}`).join(";");
  return users.map((user) => `${escapeValue(user, "\t")}\t${list([user, "x"], "\t_")}\t${clicks}\n`).join("");
}

test("a value has its sequences, and a text is divided only where none is", () => {
  for (const id of IDS) {
    assert.is(showEscaped(hideEscaped(escapeValue(id, "\t:;_"))), id);
    assert.is(asWritten(hideEscaped(escapeValue(id, "\t:;_"))), escapeValue(id, "\t:;_"));
    assert.not.match(hideEscaped(escapeValue(id, "\t:;_")), /[\t:;_]/);
  }
  assert.is(escapeValue("a_b:c\\", "\t:"), "a_b\\:c\\\\");
  // Before other characters, and at the end, a backslash stands for itself.
  assert.is(showEscaped(hideEscaped("\\N C:\\dir \\")), "\\N C:\\dir \\");
  assert.equal(hideEscaped("a\\\\:b").split(":").map(showEscaped), ["a\\", "b"]);
});

test("any id can be written to a log, by both readers, and is held out as it was", async () => {
  await withFiles(async (at) => {
    await writeFile(at("log"), logOf(IDS));
    const contents = async (folder: string) => {
      const names = ((await readdir(at(folder), { recursive: true })) as string[]).filter((name) => name.includes("."));
      return Promise.all(names.sort().map(async (name) => [name, await readFile(at(`${folder}/${name}`), "latin1")]));
    };
    const options = { schema: SCHEMA, featureAppearLimit: 0, holdOut: "last" } as const;
    await prepareDataset({ ...options, logs: [at("log")], output: at("native") });
    await prepareDataset({ ...options, logs: [asRows(at("log"))], output: at("rows") });
    assert.equal(
      (await contents("native")).filter(([name]) => name !== "dataset.json"),
      (await contents("rows")).filter(([name]) => name !== "dataset.json"),
    );
    const dataset = await openDataset(at("native"));
    for (const name of ["user_id", "langs", "tags"]) {
      const { tokens } = dataset.vocabularies.get(name)!;
      assert.equal([...tokens].filter((token) => IDS.includes(token)).sort(), [...IDS].sort(), name);
    }
    // Users are ordered as they came; the test log has all clicks, since the last one is held out.
    assert.is(await readFile(at("native/test.tsv"), "utf8"), logOf(IDS));
  });
});

test("without escapes, or in a dataset from before them, a backslash is one", async () => {
  const { escapes, ...before } = SCHEMA;
  assert.is(escapes, true);
  await withFiles(async (at) => {
    await writeFile(at("log"), "u\\tx\tl\\_m\ta\\:t\\_s:1;b:t:2;c:t:3\n");
    for (const schema of [{ ...before, escapes: false }, parseStoredSchema(before, "schema", "ERR_DATASET")]) {
      const rows: LogRow[] = [];
      await readLog([at("log")], { schema }, (row) => rows.push(row));
      assert.is(rows[0]!.userId, "u\\tx");
      assert.equal(rows[0]!.tokens, ["u\\tx", ["l\\", "m"]]);
      assert.equal(rows[0]!.clicks[0], ["a\\", ["t\\", "s"]]);
    }
    const options = { logs: [at("log")], schema: { ...before, escapes: false }, featureAppearLimit: 0 };
    await prepareDataset({ ...options, output: at("ds") });
    const { schema, vocabularies } = await openDataset(at("ds"));
    assert.is(schema.escapes, false);
    assert.equal(vocabularies.get("item")!.tokens.slice(1), ["a\\", "b", "c"]);
    const source: LogSource = {
      ...asRows(at("log")),
      read: async (_, sink) => {
        for (const user of ["u", "v"]) {
          const clicks = ["a", "b:c"].map((item) => [item, ["t"]]);
          sink.row({ userId: user, tokens: [user, ["l"]], numbers: [], clicks, times: [1, 2] }, 1);
        }
      },
    };
    const holding = prepareDataset({ ...options, logs: [source], holdOut: "last", output: at("held") });
    await expectError(holding, "ERR_DATASET", "no escapes for separators");
  });
  assert.throws(() => parseSchema({ ...before, escapes: "yes" }), 'for "escapes"');
});

test("what is wrong with a line is quoted as it stands there", async () => {
  await withFiles(async (at) => {
    await writeFile(at("log"), "u\tx\ta\\:b:t\\;u:noon\\_1\n");
    for (const log of [at("log"), asRows(at("log"))]) {
      await expectError(
        prepareDataset({ logs: [log], schema: SCHEMA, output: at("ds") }),
        "ERR_LOG",
        'log:1: field 3 (clicks): Expected a number for time of click 1 but received "noon\\\\_1"',
      );
    }
  });
});

if (HAS_DUCKDB) {
  test("a table with such ids gives the dataset of the log", async () => {
    const schema = parseSchema({
      columns: [{ name: "user_id" }, { name: "clicks" }],
      click: [{ name: "item" }, { name: "time", kind: "time" }],
    });
    await withFiles(async (at) => {
      // In a table, whose values are not escaped, this one is a word for a missing value.
      const ids = IDS.filter((id) => id !== "\\N");
      const events = ids.flatMap((user) => ids.map((item, i) => ({ user_id: user, item_id: item, timestamp: i + 1 })));
      await writeFile(at("events.jsonl"), events.map((event) => `${JSON.stringify(event)}\n`).join(""));
      const users = [...ids].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const clicks = ids.map((id, i) => `${escapeValue(id, "\t:;")}:${i + 1}`).join(";");
      await writeFile(at("log"), users.map((user) => `${escapeValue(user, "\t")}\t${clicks}\n`).join(""));
      const options = { featureAppearLimit: 0, holdOut: "last" } as const;
      await prepareTables({ ...options, source: { events: { files: [at("events.jsonl")] } }, output: at("table") });
      await prepareDataset({ ...options, logs: [at("log")], schema, output: at("log.ds") });
      for (const member of ["clicks.safetensors", "test.tsv", "vocabulary/item.tsv", "vocabulary/user_id.tsv"]) {
        assert.is(
          await readFile(at(`table/${member}`), "latin1"),
          await readFile(at(`log.ds/${member}`), "latin1"),
          member,
        );
      }
      assert.is(await readFile(at("log.ds/test.tsv"), "utf8"), await readFile(at("log"), "utf8"));
    });
  });
}

test.run();
