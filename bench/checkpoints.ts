// What checkpoints cost: `npm run bench:checkpoints`. Blocks of steps with a checkpoint at their beginning, which is
// written while they run, take turns with blocks without one. README.md explains the numbers.

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import "./plain_errors.js";
import { Snapshot } from "../src/data/snapshot.js";
import { createEngine } from "../src/executors/index.js";
import { storedTensors } from "../src/graph/program.js";
import { median } from "./contender.js";
import { syntheticLog } from "./synthetic.js";
import { originalConfig, TrainingBench } from "./training.js";

const { values: flags } = parseArgs({
  options: {
    items: { type: "string", default: "1000000" },
    users: { type: "string", default: "200000" },
    batch: { type: "string", default: "256" },
    set: { type: "string", multiple: true, default: [] },
    steps: { type: "string", default: "1000" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string" },
    folder: { type: "string", default: "." },
  },
});

const engine = createEngine({ threads: flags.threads === undefined ? undefined : Number(flags.threads) });
const config = originalConfig([`batchSize=${flags.batch}`, ...flags.set]);
const log = syntheticLog({ items: Number(flags.items), users: Number(flags.users) });
const bench = new TrainingBench({ engine, log, config });
const tensors = storedTensors(bench.program).filter(({ role }) => role !== "constant");
const snapshot = new Snapshot(
  tensors.map(({ name, dtype, shape }) => ({
    name,
    dtype,
    shape: shape as number[],
    readInto: (values, offset) => bench.store.readInto(name, values, offset),
  })),
);
const folder = mkdtempSync(join(flags.folder, "checkpoints-"));
const path = join(folder, "checkpoint.safetensors");

interface Block {
  /** Seconds of the block, and of the processor. */
  readonly wall: number;
  readonly cpu: number;
  readonly copied: number;
  readonly written: number;
}

async function block(steps: number, withCheckpoint: boolean): Promise<Block> {
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  let [copied, written] = [0, 0];
  let writing: Promise<void> | undefined;
  if (withCheckpoint) {
    snapshot.take();
    copied = performance.now() - started;
    writing = snapshot.write(path, {}).then(() => {
      written = performance.now() - started - copied;
    });
  }
  await bench.run(steps);
  const wall = performance.now() - started;
  await writing;
  const { user, system } = process.cpuUsage(cpu);
  return { wall: wall / 1e3, cpu: (user + system) / 1e6, copied: copied / 1e3, written: written / 1e3 };
}

try {
  const steps = Number(flags.steps);
  await block(Math.min(100, steps), true);
  const blocks: { without: Block; with: Block }[] = [];
  for (let round = 0; round < Number(flags.rounds); round++) {
    // The order alternates, so that a load that grows or ends does not favour one of the two.
    const first = await block(steps, round % 2 === 1);
    const second = await block(steps, round % 2 === 0);
    blocks.push(round % 2 === 1 ? { with: first, without: second } : { with: second, without: first });
  }
  const of = (value: (pair: (typeof blocks)[number]) => number) => median(blocks.map(value));
  const share = (part: number) => `${(100 * part).toFixed(2)} %`;
  const megabytes = (statSync(path).size / 1e6).toFixed(0);
  console.log(`${engine.kind} ${engine.isa}, ${engine.threads} threads, checkpoints of ${megabytes} MB`);
  console.log(`${steps} steps: ${of((pair) => pair.without.wall).toFixed(2)} s`);
  console.log(`copying, while training waits: ${of((pair) => pair.with.copied).toFixed(3)} s`);
  console.log(`writing, while it goes on: ${of((pair) => pair.with.written).toFixed(2)} s`);
  console.log(`cost in time: ${share(of((pair) => pair.with.wall / pair.without.wall - 1))}`);
  console.log(`cost in time of the processor: ${share(of((pair) => pair.with.cpu / pair.without.cpu - 1))}`);
  for (const pair of blocks) console.log(JSON.stringify(pair));
} finally {
  rmSync(folder, { recursive: true, force: true });
  bench.close();
  engine.close();
}
