// One side of the benchmark of prepare.ts, in a process of its own, so that its peak memory is its own. The argument is
// the JSON of a `Side`; it prints the JSON of a `Measured`.

import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { sessionSettings } from "../src/data/tables/duckdb.js";
import { prepareTables, TrainingSession } from "../src/index.js";

export type Side =
  | { readonly kind: "order by"; readonly table: string; readonly folder: string }
  | { readonly kind: "prepare"; readonly table: string; readonly dataset: string }
  | { readonly kind: "train"; readonly dataset: string; readonly model: string; readonly steps: number };

export interface Measured {
  readonly seconds: number;
  /** Bytes of memory that the process had at most (VmHWM). */
  readonly peak: number;
  /** Bytes of all tensors of a training: parameters, optimizer state, constants, and the item vectors of the model. */
  readonly trained?: number;
}

/** DuckDB's sort of the columns that a dataset needs, with the settings of `prepareTables`. The rows are dropped. */
async function orderBy(table: string, folder: string): Promise<void> {
  await mkdir(folder);
  const instance = await DuckDBInstance.create(join(folder, "tables.duckdb"), sessionSettings(folder));
  const connection = await instance.connect();
  const file = `read_parquet('${table.replaceAll("'", "''")}')`;
  const result = await connection.stream(`SELECT user_id, item_id, "time" FROM ${file} ORDER BY user_id, "time"`);
  for (let rows = 1; rows > 0; ) rows = (await result.fetchChunk())?.rowCount ?? 0;
  connection.closeSync();
  instance.closeSync();
  await rm(folder, { recursive: true });
}

/** Returns the bytes of all tensors. */
async function train(dataset: string, model: string, steps: number): Promise<number> {
  const session = await TrainingSession.open({ dataset, steps });
  while (!session.done) await session.run();
  await session.save(model);
  const bytes = session.model.store.tensors.map(({ shape }) => 4 * shape.reduce<number>((a, b) => a * Number(b), 1));
  session.close();
  return bytes.reduce((a, b) => a + b, 0);
}

function peakMemory(): number {
  const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "";
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
  return 1024 * Number(kilobytes);
}

const side = JSON.parse(process.argv[2]!) as Side;
const start = performance.now();
let trained: number | undefined;
if (side.kind === "order by") await orderBy(side.table, side.folder);
else if (side.kind === "train") trained = await train(side.dataset, side.model, side.steps);
else await prepareTables({ source: { events: { files: [side.table] } }, output: side.dataset });
const measured: Measured = {
  seconds: (performance.now() - start) / 1000,
  peak: peakMemory(),
  ...(trained !== undefined && { trained }),
};
console.log(JSON.stringify(measured));
