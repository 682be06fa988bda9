// Times every op on its large cases: `npm run bench`, `npm run bench -- --filter lstm --json`.
// Native kernels on each instruction set that the processor has, and the TypeScript reference. A row gives the time of a
// run (benchmark.js: arrays in, kernels, arrays out) and what the kernels alone reach, by the engine's own profile.

import { readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import Benchmark from "benchmark";
import type { Engine } from "../src/executors/executor.js";
import { availableIsas, createNativeEngine } from "../src/executors/native.js";
import { createReferenceEngine } from "../src/executors/reference.js";
import { instructionCosts } from "../src/ops/cost.js";
import { OPS } from "../src/ops/index.js";
import { buildCase, storeOf } from "./build_case.js";
import type { OpCase } from "./cases/case.js";

const { values: flags } = parseArgs({
  options: {
    filter: { type: "string", default: "" },
    json: { type: "boolean", default: false },
    threads: { type: "string", default: "1" },
    seconds: { type: "string", default: "0.5" },
  },
});

interface Row {
  readonly case: string;
  readonly engine: string;
  readonly threads: number;
  /** Median of a whole run. */
  readonly milliseconds: number;
  /** Of the kernels alone. */
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
}

const threads = Number(flags.threads);
const engines: Engine[] = [
  ...availableIsas().map((isa) => createNativeEngine({ threads, isa })),
  createReferenceEngine({ ops: OPS }),
];

for (const file of readdirSync(new URL("cases/", import.meta.url)).sort()) {
  const { cases = [] } = (await import(`./cases/${file}`)) as { cases?: readonly OpCase[] };
  for (const opCase of cases) {
    const name = `${opCase.op}: ${opCase.name}`;
    if (!opCase.benchmark || !name.includes(flags.filter)) continue;
    for (const engine of engines) report(await measure(name, opCase, engine));
  }
}

async function measure(name: string, opCase: OpCase, engine: Engine): Promise<Row> {
  const built = buildCase(opCase, { gradients: true });
  const { program, inputs } = built;
  const executor = engine.createExecutor(program, storeOf(engine, built), { profile: true });
  let runs = 0;
  const benchmark = new Benchmark({
    defer: true,
    maxTime: Number(flags.seconds),
    minSamples: 5,
    fn: (deferred: { resolve(): void }) => {
      runs++;
      executor.run(inputs, {}).then(() => deferred.resolve());
    },
  });
  await new Promise((resolve) => benchmark.on("complete", resolve).run({ async: true }));
  const seconds = executor.profile!.reduce((sum, value) => sum + value, 0) / runs;
  const costs = instructionCosts(program, {});
  const work = (unit: "flops" | "bytes") => costs.reduce((sum, cost) => sum + cost[unit], 0);
  executor.close();
  const sample = [...benchmark.stats.sample].sort((a, b) => a - b);
  return {
    case: name,
    engine: `${engine.kind} ${engine.isa}`,
    threads: engine.threads,
    milliseconds: 1000 * sample[sample.length >> 1]!,
    gflops: work("flops") / seconds / 1e9,
    gigabytesPerSecond: work("bytes") / seconds / 1e9,
  };
}

function report(row: Row): void {
  if (flags.json) {
    console.log(JSON.stringify(row));
    return;
  }
  const columns = [
    row.case.padEnd(52),
    row.engine.padEnd(22),
    `${row.milliseconds.toFixed(3)} ms`.padStart(12),
    `${row.gflops.toFixed(2)} GFLOP/s`.padStart(16),
    `${row.gigabytesPerSecond.toFixed(2)} GB/s`.padStart(14),
  ];
  console.log(columns.join(" "));
}
