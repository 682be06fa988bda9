// Times the reading of a click log, of a made-up one or of a given file: `npm run bench:logs -- --megabytes 480`.
// In each round, the same file is read by `wc -l`, by DuckDB's CSV reader, by the reader in C++ up to the arrays of the
// dataset, and by `prepareDataset` up to the files. README.md explains the numbers.

import { execFileSync } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import "./plain_errors.js";
import { prepareDataset } from "../src/data/dataset.js";
import { ingestLogs } from "../src/data/ingest.js";
import { DEFAULT_SCHEMA, readSchema } from "../src/data/schema.js";
import { clickLog } from "../src/data/sources/click_log.js";
import { DEFAULT_MAX_LINE_BYTES } from "../src/data/sources/read_log.js";
import { RandomStream } from "../src/random/philox.js";
import { median } from "./contender.js";

const { values: flags } = parseArgs({
  options: {
    log: { type: "string" },
    schema: { type: "string" },
    megabytes: { type: "string", default: "480" },
    items: { type: "string", default: "500000" },
    threads: { type: "string", default: String(availableParallelism()) },
    rounds: { type: "string", default: "5" },
    rows: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

const STREAM = 1200;
const LINES_AT_ONCE = 1000;

/**
 * Lines in the default schema, with up to 40 clicks each. Items follow Zipf's law (p ~ 1 / rank); each has a category and
 * one to three tags.
 */
function* lines(megabytes: number, items: number): Generator<string> {
  const random = new RandomStream(1, STREAM);
  const click = () => {
    const item = Math.floor(items ** random.uniform());
    const tags = Array.from({ length: 1 + (item % 3) }, (_, i) => `t${(item * 7919 + i * 104_729) % 20_000}`);
    return `v${(item * 48_271) % 16_777_213}:c${item % 97}:${tags.join("_")}`;
  };
  for (let bytes = 0, user = 0; bytes < megabytes * 1e6; ) {
    const some = Array.from({ length: LINES_AT_ONCE }, () => {
      const clicks = Array.from({ length: 1 + random.below(40) }, click).join(";");
      return `u${(user++).toString(36)}\tp${random.below(34)}\tc${random.below(400)}\t${clicks}\tm${random.below(2000)}\n`;
    });
    const text = some.join("");
    bytes += text.length;
    yield text;
  }
}

/** One way of reading the log. */
interface Reader {
  readonly name: string;
  readonly read: (output: string) => Promise<unknown>;
}

async function duckdbReader(path: string, threads: number): Promise<Reader | undefined> {
  const duckdb = await import("@duckdb/node-api").catch(() => undefined);
  if (!duckdb) return undefined;
  const instance = await duckdb.DuckDBInstance.create(":memory:", { threads: String(threads) });
  const connection = await instance.connect();
  const file = path.replaceAll("'", "''");
  const options = `delim = '\t', header = false, quote = '', escape = '', all_varchar = true, max_line_size = ${2 ** 24}`;
  // The length of every field is asked for, so that none is skipped.
  const query = `SELECT count(*), sum(length(COLUMNS(*))) FROM read_csv('${file}', ${options}, auto_detect = false,
    columns = {'user': 'VARCHAR', 'a': 'VARCHAR', 'b': 'VARCHAR', 'clicks': 'VARCHAR', 'c': 'VARCHAR'})`;
  return { name: "DuckDB's CSV reader", read: () => connection.run(query) };
}

async function readersOf(path: string): Promise<Reader[]> {
  const threads = Number(flags.threads);
  const schema = flags.schema === undefined ? DEFAULT_SCHEMA : await readSchema(flags.schema);
  const source = clickLog(path);
  const encoded = async () => {
    const logs = await ingestLogs([source], { schema, maxLineBytes: DEFAULT_MAX_LINE_BYTES, threads });
    if (!logs) throw new Error("Expected the native engine to be built");
    await logs.encode(new Map(logs.features.map(({ name }) => [name, 0])));
  };
  const rows = { ...source, read: (...given: Parameters<typeof source.read>) => source.read(...given) };
  const prepared = (log: typeof source) => (output: string) =>
    prepareDataset({ logs: [log], output, schema, threads, featureAppearLimit: 0 });
  const duckdb = flags.schema === undefined ? await duckdbReader(path, threads) : undefined;
  return [
    { name: "wc -l", read: async () => execFileSync("wc", ["-l", path]) },
    ...(duckdb ? [duckdb] : []),
    { name: "read, count and encode", read: encoded },
    { name: "prepareDataset", read: prepared(source) },
    ...(flags.rows ? [{ name: "prepareDataset, reader in TypeScript", read: prepared(rows) }] : []),
  ];
}

const folder = await mkdtemp(join(tmpdir(), "shortlist-bench-"));
try {
  const path = flags.log ?? join(folder, "log.tsv");
  if (flags.log === undefined)
    await pipeline(lines(Number(flags.megabytes), Number(flags.items)), createWriteStream(path));
  const megabytes = (await stat(path)).size / 1e6;
  const readers = await readersOf(path);
  const seconds = readers.map((): number[] => []);
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const [i, { read }] of readers.entries()) {
      const start = performance.now();
      await read(join(folder, "dataset"));
      seconds[i]!.push((performance.now() - start) / 1000);
    }
  }
  const first = median(seconds[0]!);
  for (const [i, { name }] of readers.entries()) {
    const time = median(seconds[i]!);
    const row = { reader: name, threads: Number(flags.threads), megabytes, seconds: time, timesOfWc: time / first };
    const text = `${name.padEnd(38)}${time.toFixed(2).padStart(8)} s${(megabytes / time).toFixed(0).padStart(7)} MB/s`;
    console.log(flags.json ? JSON.stringify(row) : `${text}${(time / first).toFixed(1).padStart(7)} × wc`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
