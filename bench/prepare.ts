// Times `shortlist prepare` of a Parquet table beside DuckDB's ORDER BY of the same file: `npm run bench:prepare`.
// README.md explains the numbers.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import "./plain_errors.js";
import { writeEventTable } from "./events.js";
import type { Measured, Side } from "./prepare_side.js";

const { values: flags } = parseArgs({
  options: {
    events: { type: "string", default: "10000000" },
    users: { type: "string", default: "500000" },
    items: { type: "string", default: "100000" },
    ids: { type: "string", default: "integer" },
    seed: { type: "string", default: "1" },
    steps: { type: "string" },
    folder: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

const SCRIPT = fileURLToPath(new URL("./prepare_side.ts", import.meta.url));

function measure(side: Side): Measured {
  const { status, stdout } = spawnSync(process.execPath, ["--import", "tsx", SCRIPT, JSON.stringify(side)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status === 0) return JSON.parse(stdout) as Measured;
  console.error(`error: ${side.kind} ended with ${status}`);
  process.exit(1);
}

function bytesIn(folder: string): number {
  const names = readdirSync(folder, { recursive: true }) as string[];
  return names
    .map((name) => statSync(join(folder, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
}

const folder = mkdtempSync(join(flags.folder ?? tmpdir(), "shortlist-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const [table, dataset] = [join(folder, "events.parquet"), join(folder, "dataset")];
const { ids } = flags;
const [events, users, items] = [Number(flags.events), Number(flags.users), Number(flags.items)];
await writeEventTable(table, { events, users, items, ids: ids as "integer" | "text", seed: Number(flags.seed) });

const order = measure({ kind: "order by", table, folder: join(folder, "order") });
const prepare = measure({ kind: "prepare", table, dataset });
const bytes = { table: statSync(table).size, dataset: bytesIn(dataset) };
const steps = Number(flags.steps ?? 0);
const train = steps > 0 ? measure({ kind: "train", dataset, model: join(folder, "model"), steps }) : undefined;
const summary = { events, users, items, ids, bytes, order, prepare, ratio: prepare.seconds / order.seconds, train };

if (flags.json) console.log(JSON.stringify(summary));
else print();

function print(): void {
  const megabytes = (count: number) => `${Math.round(count / 1e6)} MB`;
  const line = (name: string, { seconds, peak }: Measured) =>
    console.log(
      `${name.padEnd(9)} ${seconds.toFixed(1).padStart(7)} s ${(events / seconds / 1e6).toFixed(2).padStart(7)} M events/s  peak ${megabytes(peak)}`,
    );
  console.log(
    `${events} events of ${users} users and ${items} items, ${ids} ids: Parquet of ${megabytes(bytes.table)}, dataset of ${megabytes(bytes.dataset)}`,
  );
  line("ORDER BY", order);
  line("prepare", prepare);
  console.log(`prepare takes ${summary.ratio.toFixed(2)} × the time of DuckDB's ORDER BY`);
  if (!train) return;
  const needed = train.trained! + bytes.dataset;
  console.log(
    `train of ${steps} steps: ${train.seconds.toFixed(1)} s, peak ${megabytes(train.peak)} = parameters and optimizer state ${megabytes(train.trained!)} + dataset ${megabytes(bytes.dataset)} + ${megabytes(train.peak - needed)}`,
  );
}
