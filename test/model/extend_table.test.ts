import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  areItemTables,
  type ExtendFolderOptions,
  extendModelFolder,
  type ItemTableSource,
  openModel,
  prepareTables,
  train,
} from "../../src/index.js";
import { HAS_DUCKDB } from "../data/table_files.js";
import { expectError, withFolder } from "../data/temporary.js";
import { SMALL } from "../small_model.js";

const tables = HAS_DUCKDB ? test : test.skip;

type At = (name: string) => string;

const KINDS = ["drama", "war", "comedy"];

/** Makes a model of twelve items, which have a kind, tags and titles. */
async function withModel(work: (at: At) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    const rows = Array.from({ length: 300 }, (_, e) => `u${e % 60},v${(e * 5 + (e % 7)) % 12}`);
    await writeFile(at("events"), ["user_id,item_id", ...rows, ""].join("\n"));
    const items = Array.from({ length: 12 }, (_, i) => `v${i},Film ${i},${KINDS[i % 3]},${i % 2 ? "old" : "old|long"}`);
    await writeFile(at("items"), ["item_id,title,releaseKind,tags", ...items, ""].join("\n"));
    const features = [{ column: "releaseKind" }, { column: "tags", kind: "list", separator: "|" }] as const;
    const source = { events: { files: [at("events")] }, items: { files: [at("items")], features } };
    await prepareTables({ source, output: at("ds"), featureAppearLimit: 0 });
    await train({ dataset: at("ds"), output: at("model"), set: SMALL, steps: 3, threads: 1 });
    await work(at);
  });
}

async function extend(at: At, output: string, options: Partial<ExtendFolderOptions>) {
  const warnings: string[] = [];
  const onWarning = (message: string) => warnings.push(message.replace(/^\S+: /, ""));
  const report = await extendModelFolder(at("model"), { ...options, output: at(output), onWarning });
  return { report, warnings };
}

tables("a table of items extends a model as a click log of the same items does", async () => {
  await withModel(async (at) => {
    await writeFile(at("log.tsv"), "\tn1:drama:old_long;n2:war:old;v1:comedy:;n3::new\n");
    await extend(at, "expected", { logs: [at("log.tsv")] });
    // Other names, order and separators of columns, a row of a known item, and values that the model does not know.
    const forms: Record<string, string | Buffer> = {
      csv: 'tags,item_id,release_kind\n"old, long",n1,drama\nold,n2,war\n,v1,comedy\nnew,n3,\n',
      "csv.gz": gzipSync("ItemID;ReleaseKind;Tags;Title\nn1;drama;old|long;One\nn2;war;old;\nn3;;new;Three\n"),
      jsonl:
        '{"video_id":"n1","release_kind":"drama","tags":["old","long"]}\n{"video_id":"n2","release_kind":"war","tags":["old"]}\n{"video_id":"n3","tags":["new"]}\n',
    };
    const expected = await openModel(at("expected"));
    for (const [name, content] of Object.entries(forms)) {
      await writeFile(at(name), content);
      assert.is(await areItemTables([at(name)]), true);
      const { report, warnings } = await extend(at, "found", { itemTable: { files: [at(name)] } });
      assert.equal(report, { added: 3, withoutAttributes: 1 }, name);
      assert.equal(warnings, []);
      const found = await openModel(at("found"));
      assert.equal(found.items.tokens, expected.items.tokens);
      assert.equal(found.description.catalogue, expected.description.catalogue);
      for (const tensor of ["output.weight", "output.bias", "embedding.item"]) {
        assert.equal(found.store.read(tensor), expected.store.read(tensor), `${name}: ${tensor}`);
      }
      const titleOf = (item: string) => found.description.titles!.titleOf(found.items.idOf(item));
      assert.equal(["v1", "n1", "n2"].map(titleOf), ["Film 1", name === "csv.gz" ? "One" : undefined, undefined]);
      found.close();
    }
    expected.close();
  });
});

tables("rows that repeat, columns that are missing and tables that are none are reported", async () => {
  await withModel(async (at) => {
    const table = async (content: string, source: ItemTableSource = {}) => {
      await writeFile(at("table"), content);
      return extend(at, "found", { itemTable: { files: [at("table")], ...source } });
    };
    const { report, warnings } = await table("item_id,tags\nn1,old\nn1,long\nn1,long\n");
    assert.equal(report, { added: 1, withoutAttributes: 0 });
    assert.equal(warnings, [
      'there is no column for "release_kind", which count as unknown',
      "2 rows repeat the item of an earlier row, whose values count",
      '1 items have several values of "tags": the first one counts',
    ]);
    await expectError(
      table("item_id,title\nn1,One\n"),
      "ERR_TABLE",
      'an attribute of the model\'s items, "release_kind" and "tags"',
    );
    await expectError(table("thing,tags\nn1,old\n", { header: true }), "ERR_TABLE", "Expected one column of the item");
    const named = await table("thing,of,tags\nn1,war,old\n", {
      header: true,
      id: "thing",
      features: [{ column: "of", name: "release_kind" }, { column: "tags" }],
    });
    assert.equal(named.report, { added: 1, withoutAttributes: 0 });
    assert.equal(named.warnings, []);
    const known = await table("item_id,tags\nv1,old\n");
    assert.match(known.warnings.join("\n"), "there is no item that is new to the model");
    for (const options of [{}, { logs: [at("table")], itemTable: { files: [at("table")] } }]) {
      await expectError(extend(at, "x", options), "ERR_OPTION", "Expected either logs or an itemTable");
    }
    await expectError(extend(at, "x", { itemTable: {} }), "ERR_OPTION", "Expected the files of a table of items");
  });
});

test("click logs of any schema are told from tables of items", async () => {
  await withFolder(async (folder) => {
    const kinds: Record<string, boolean> = {
      "u1\tx1:x;new1:x\nu2\ty1:y\n": false,
      "v1;v2\nv3;v4\n": false,
      "u1\tp\tc\ti1:a:x_y;i2:b:z\t1\n": false,
      "item_id\tcategory\nn1\tx\nn2\ty\n": true,
      "1::Toy Story (1995)::Comedy\n2::Jumanji (1995)::Adventure\n": true,
      '{"item_id":1}\n': true,
    };
    for (const [content, isTable] of Object.entries(kinds)) {
      await writeFile(join(folder, "input"), content);
      assert.is(await areItemTables([join(folder, "input")]), isTable, content);
    }
  });
});

test.run();
