import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type PrepareTablesOptions, prepareTables, type TableSource } from "../../src/index.js";
import { HAS_DUCKDB, runSql } from "./table_files.js";
import { type At, expectError, withFiles } from "./temporary.js";

/**
 * Tables of real data sets, beside the repository (default ../shared/data): the same events give the same dataset,
 * whatever form they come in. Their licences forbid copies of them in the repository.
 */
const DATA = resolve(
  process.env["SHORTLIST_DATA"] ?? join(fileURLToPath(new URL("../../", import.meta.url)), "../shared/data"),
);
const data = (path: string) => join(DATA, path);
const isThere = HAS_DUCKDB && existsSync(data("ml-100k/ml-100k.inter"));
if (!isThere) process.stdout.write(`Without ${DATA}, tables of real data sets are not tested. `);
const real = isThere ? test : test.skip;

async function idOf(at: At, source: TableSource, options: Partial<PrepareTablesOptions> = {}): Promise<string> {
  await prepareTables({ source, output: at("dataset"), ...options });
  return JSON.parse(await readFile(at("dataset/dataset.json"), "utf8")).id;
}

/** Writes the rows of a query as CSV, compressed CSV, JSON lines and Parquet, and returns the paths. */
async function writeForms(at: At, query: string): Promise<string[]> {
  const forms = {
    "events.csv": "FORMAT csv",
    "events.csv.gz": "FORMAT csv, COMPRESSION gzip",
    "events.jsonl": "FORMAT json",
    "events.parquet": "FORMAT parquet",
  };
  await runSql(...Object.entries(forms).map(([name, form]) => `COPY (${query}) TO '${at(name)}' (${form})`));
  return Object.keys(forms).map(at);
}

real("MovieLens 100K: atomic files, CSV, JSON lines and Parquet", async () => {
  await withFiles(async (at) => {
    const tables = {
      items: { files: [data("ml-100k/ml-100k.item")] },
      users: { files: [data("ml-100k/ml-100k.user")] },
    };
    const expected = await idOf(at, { ...tables, events: { files: [data("ml-100k/ml-100k.inter")] } });
    const read = `read_csv('${data("ml-100k/ml-100k.inter")}', delim = '\t', header = true)`;
    const query = `SELECT "user_id:token" AS userId, "item_id:token" AS movieId, "rating:float" AS rating, "timestamp:float"::BIGINT AS ts FROM ${read}`;
    for (const path of await writeForms(at, query)) {
      assert.is(await idOf(at, { ...tables, events: { files: [path] } }), expected, path);
    }
  });
});

real("MovieLens 1M: ratings.dat with movies.dat and users.dat, CSV, JSON lines and Parquet", async () => {
  await withFiles(async (at) => {
    const sequences = (await readFile(data("ml-1m/sequences_minus_last.txt"), "utf8")).split("\n").slice(0, 600);
    const rows = sequences.flatMap((line) => {
      const [user, ...items] = line.split(" ");
      return items.map((item, i) => [user, item, 1 + ((i * 7) % 5), 956_700_000 + Number(user) * 1000 + i] as const);
    });
    await writeFile(at("ratings.dat"), rows.map((row) => `${row.join("::")}\n`).join(""));
    await writeFile(at("ratings.csv"), ["u,i,r,t", ...rows.map((row) => row.join(",")), ""].join("\n"));
    const tables = { items: { files: [data("ml-1m/movies.dat")] }, users: { files: [data("ml-1m/users.dat")] } };
    const columns = { user: "1", item: "2", time: "4", where: '"3" >= 3' };
    const expected = await idOf(at, { ...tables, events: { files: [at("ratings.dat")], ...columns } });
    const query = `SELECT u AS user_id, i AS item_id, r AS rating, t AS "timestamp" FROM read_csv('${at("ratings.csv")}')`;
    for (const path of await writeForms(at, query)) {
      const found = await idOf(at, { ...tables, events: { files: [path], where: "rating >= 3" } });
      assert.is(found, expected, path);
    }
  });
});

real("KuaiRand: long views with tables of videos and users, CSV, JSON lines and Parquet", async () => {
  await withFiles(async (at) => {
    const tables = {
      items: { files: [data("kuairand-pure/items.tsv")] },
      users: { files: [data("kuairand-pure/users.tsv")] },
    };
    const where = "long_view = 1";
    const expected = await idOf(at, { ...tables, events: { files: [data("kuairand-pure/val.tsv")], where } });
    const query = `SELECT * FROM read_csv('${data("kuairand-pure/val.tsv")}', delim = '\t', header = true)`;
    for (const path of await writeForms(at, query)) {
      assert.is(await idOf(at, { ...tables, events: { files: [path], where } }), expected, path);
    }
  });
});

real("KuaiRand: a table of users and one of sequences are errors", async () => {
  await withFiles(async (at) => {
    const users = { files: [data("kuairand-pure/users.tsv")], item: "onehot_feat1" };
    await expectError(idOf(at, { events: users }), "ERR_TABLE", "Expected several events of a user");
    const sequences = { files: [data("kuairand-pure/train_sequences.tsv")] };
    await expectError(idOf(at, { events: sequences }), "ERR_TABLE", "holds a sequence");
    await expectError(idOf(at, { events: { ...sequences, item: "long_view_seq" } }), "ERR_TABLE", "holds several");
  });
});

test.run();
