import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LogSource } from "../../src/data/sources/source.js";
import { TableSession, text } from "../../src/data/tables/duckdb.js";
import { type Model, openModel, saveModel } from "../../src/model/model.js";
import { type VectorOptions, writeItemVectors, writeUserVectors } from "../../src/retrieve/vectors.js";
import { HAS_DUCKDB } from "../data/table_files.js";
import { expectError, withFolder } from "../data/temporary.js";
import { handModel, ITEMS } from "../hand_model.js";

// Vectors [b; w] of the items of the model that is computed by hand.
const ITEM_VECTORS = [
  [0, 2, 0],
  [0, 0, 2],
  [0, 1, 1],
  [0.5, -1, 0],
  [1, 0, 0],
];
// Vectors [1; u] of Ann after a, of Bob after a and b, and of somebody unknown without clicks.
const USER_VECTORS = [
  [1, 2, 0],
  [1, 0.5, 2.5],
  [1, 0, 0],
];

/** A log of these users, whose third one has an id that no line could hold. */
function users(third: string): LogSource {
  const rows = [["ann", "a"], ["bob", "a", "b"], [third]] as const;
  return {
    name: "users",
    label: "users",
    size: async () => 0,
    where: (row) => `users:${row}`,
    read: async (_, sink) => {
      rows.forEach(([user, ...items], i) => {
        const clicks = items.map((item) => [item]);
        sink.row({ userId: user, tokens: [user], numbers: [], clicks, times: [] }, i + 1);
      });
    },
  };
}

async function withSavedModel(work: (model: Model, at: (name: string) => string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    const made = handModel();
    await saveModel(made, at("model"));
    made.close();
    const model = await openModel(at("model"), { threads: 1 });
    await work(model, at);
    model.close();
  });
}

/** Reads a float32 array of NumPy by the definition of its format, version 1.0. */
async function readNpy(path: string): Promise<{ shape: string; values: number[] }> {
  const bytes = await readFile(path);
  assert.is(bytes.toString("latin1", 0, 8), "\x93NUMPY\x01\x00");
  const start = 10 + bytes.readUInt16LE(8);
  assert.is(start % 64, 0);
  const head = bytes.toString("latin1", 10, start);
  const [, shape] = /^\{'descr': '<f4', 'fortran_order': False, 'shape': \((.*)\), \} *\n$/.exec(head)!;
  const values = Array.from({ length: (bytes.length - start) / 4 }, (_, i) => bytes.readFloatLE(start + 4 * i));
  return { shape: shape!, values };
}

test("npy: the vectors, their ids, and the model that made them", async () => {
  await withSavedModel(async (model, at) => {
    const report = await writeItemVectors(model, { output: at("items.npy"), format: "npy" });
    assert.equal(report, { count: 5, width: 3, transform: "none" });
    assert.equal(await readNpy(at("items.npy")), { shape: "5, 3", values: ITEM_VECTORS.flat() });
    assert.is(await readFile(at("items.npy.tokens.txt"), "utf8"), `${ITEMS.join("\n")}\n`);
    const config = JSON.parse(await readFile(at("model/config.json"), "utf8"));
    const { id: _, ...items } = JSON.parse(await readFile(at("items.npy.json"), "utf8"));
    assert.equal(items, {
      format: "shortlist-vectors",
      version: 1,
      model: config.id,
      of: "items",
      transform: "none",
      width: 3,
      count: 5,
    });

    await writeUserVectors(model, users("zoe"), { output: at("users.npy"), format: "npy" });
    assert.equal(await readNpy(at("users.npy")), { shape: "3, 3", values: USER_VECTORS.flat() });
    assert.is(await readFile(at("users.npy.tokens.txt"), "utf8"), "ann\nbob\nzoe\n");
    assert.is(JSON.parse(await readFile(at("users.npy.json"), "utf8")).model, config.id);
  });
});

test("the default transform: SIMPLE-LSH in text, none in the other forms", async () => {
  await withSavedModel(async (model, at) => {
    const lines = async (options: Partial<VectorOptions>) => {
      const report = await writeItemVectors(model, { output: at("items.txt"), ...options });
      return { report, text: await readFile(at("items.txt"), "utf8") };
    };
    const plain = await lines({ transform: "none" });
    assert.is(plain.text, ITEM_VECTORS.map((vector, i) => `${ITEMS[i]}\t${vector.join(",")}\n`).join(""));
    const { text, report } = await lines({});
    assert.equal(report, { count: 5, width: 4, transform: "simple_lsh" });
    // All items get the squared norm 4 of the longest one.
    assert.is(text.split("\n")[2], "c\t0,1,1,1.41421354");
    assert.equal(await readdir(at(".")), ["items.txt", "model"]);
  });
});

test("an id that a line cannot hold is refused, and nothing is written", async () => {
  await withSavedModel(async (model, at) => {
    for (const format of ["text", "npy"] as const) {
      const writing = writeUserVectors(model, users("z\noe"), { output: at("v"), format });
      await expectError(writing, "ERR_LOG", 'without newlines but received "z\\noe"');
    }
    assert.equal(await readdir(at(".")), ["model"]);
  });
});

(HAS_DUCKDB ? test : test.skip)(
  "parquet: the same rows, and the model in the metadata; equal bytes each time",
  async () => {
    await withSavedModel(async (model, at) => {
      await writeUserVectors(model, users("it's"), { output: at("users.parquet"), format: "parquet" });
      await writeItemVectors(model, { output: at("items.parquet"), format: "parquet" });
      await writeItemVectors(model, { output: at("again.parquet"), format: "parquet" });
      assert.equal(await readFile(at("again.parquet")), await readFile(at("items.parquet")));
      assert.equal((await readdir(at("."))).sort(), ["again.parquet", "items.parquet", "model", "users.parquet"]);
      await TableSession.with(at("reading"), undefined, async (session) => {
        const rows = (name: string) =>
          session.rows(`SELECT id, array_to_string(vector, ',') FROM read_parquet(${text(at(name))})`);
        const written = (ids: readonly string[], vectors: readonly (readonly number[])[]) =>
          ids.map((id, i) => [id, vectors[i]!.map((value) => (Number.isInteger(value) ? `${value}.0` : value)).join()]);
        assert.equal(await rows("items.parquet"), written(ITEMS, ITEM_VECTORS));
        assert.equal(await rows("users.parquet"), written(["ann", "bob", "it's"], USER_VECTORS));
        const types = await session.rows(`DESCRIBE SELECT * FROM read_parquet(${text(at("items.parquet"))})`);
        assert.equal(
          types.map(([name, type]) => [name, type]),
          [
            ["id", "VARCHAR"],
            ["vector", "FLOAT[]"],
          ],
        );
        const [[key, value]] = (await session.rows(
          `SELECT decode(key), decode(value) FROM parquet_kv_metadata(${text(at("items.parquet"))})`,
        )) as [[string, string]];
        assert.is(key, "shortlist");
        assert.is(JSON.parse(value).model, model.id);
        assert.is(JSON.parse(value).of, "items");
      });
    });
  },
);

test.run();
