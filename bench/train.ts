// Times training steps of the original's sizes: `npm run bench:train -- --batch 256`. It prints the time of each
// instruction, or with `--total` that of whole steps. README.md explains the numbers.

import { parseArgs } from "node:util";
import "./plain_errors.js";
import { itemVocabulary } from "../src/data/clicks.js";
import { createEngine } from "../src/executors/index.js";
import { namesIn } from "../src/graph/program.js";
import { resolveConfig } from "../src/model/config.js";
import { type Contender, kernelContender, median } from "./contender.js";
import { gemm, gemmFlops } from "./kernels.js";
import { syntheticLog } from "./synthetic.js";
import { datasetLog, originalConfig, TrainingBench } from "./training.js";

const { values: flags } = parseArgs({
  options: {
    preset: { type: "string" },
    dataset: { type: "string" },
    batch: { type: "string" },
    batching: { type: "string" },
    windows: { type: "string" },
    precision: { type: "string" },
    set: { type: "string", multiple: true, default: [] },
    threads: { type: "string" },
    isa: { type: "string" },
    engine: { type: "string", default: "native" },
    users: { type: "string" },
    items: { type: "string" },
    tags: { type: "string" },
    "mean-clicks": { type: "string" },
    steps: { type: "string" },
    seconds: { type: "string", default: "3" },
    total: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

const profiled = !flags.total;
const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
const { windows, precision, batch, batching, preset } = flags;
const changes = [
  ...(batch ? [`batchSize=${batch}`] : []),
  ...(batching ? [`batching=${batching}`] : []),
  ...(windows ? [`windows=${windows}`] : []),
  ...(precision ? [`precision=${precision}`] : []),
  ...flags.set,
];
const config = preset
  ? resolveConfig(preset, {}, changes)
  : originalConfig(["batchSize=256", "batching=shuffled", ...changes]);
const engine = createEngine({
  executor: flags.engine as "native" | "reference",
  threads: number(flags.threads),
  isa: flags.isa,
});
const log = flags.dataset
  ? await datasetLog(flags.dataset, config)
  : syntheticLog({
      users: number(flags.users),
      items: number(flags.items),
      tags: number(flags.tags),
      meanClicks: number(flags["mean-clicks"]),
    });

const bench = new TrainingBench({ engine, log, config, profile: profiled });
const PRODUCT = { rows: 2048, out: 2048, inner: 2048 };
const peak: Contender | undefined =
  engine.kind === "native" ? await kernelContender("GEMM 2048³", engine, gemm(PRODUCT)) : undefined;
await bench.run(2);
const before = bench.profile;

// Blocks of steps are timed in turn with the product whose speed is the peak, so that both see the same load of the
// machine.
const blocks: { steps: number; seconds: number; peak: number }[] = [];
const wanted = flags.steps === undefined ? Number.POSITIVE_INFINITY : Number(flags.steps);
const end = performance.now() + 1000 * Number(flags.seconds);
let [done, stepsOfBlock] = [0, 1];
let [loss, waited] = [Number.NaN, 0];
while (done < wanted && (flags.steps !== undefined || blocks.length < 3 || performance.now() < end)) {
  const steps = Math.min(stepsOfBlock, wanted - done);
  const start = performance.now();
  const run = await bench.run(steps);
  loss = run.loss;
  waited += run.secondsWaited;
  const seconds = (performance.now() - start) / 1000;
  blocks.push({ steps, seconds, peak: peak ? gemmFlops(PRODUCT) / (await peak.measure(0)) : Number.NaN });
  done += steps;
  stepsOfBlock = Math.max(1, Math.round((0.25 * steps) / seconds));
}
const seconds = bench.profile.map((total, i) => (total - before[i]!) / done);
peak?.close();

const stepSeconds = median(blocks.map((block) => block.seconds / block.steps));
const gemmPeak = median(blocks.map((block) => block.peak));
const flops = bench.flopsOfStep;
const summary = {
  engine: `${engine.kind} ${engine.isa}`,
  threads: engine.threads,
  batch: config.batchSize,
  batching: config.batching,
  windows: config.windows,
  precision: precision ?? "float32",
  users: log.clicks.users,
  items: itemVocabulary(log.encoding).size - 1,
  meanWindow: bench.window,
  recurrentTimestepsOfSample: bench.recurrentTimesteps,
  profiled,
  steps: done,
  loss,
  millisecondsOfStep: 1000 * stepSeconds,
  millisecondsWaitedForBatches: (1000 * waited) / done,
  samplesPerSecond: bench.samples / stepSeconds,
  flopsOfSample: flops / bench.samples,
  gflops: flops / stepSeconds / 1e9,
  gemmPeakGflops: gemmPeak / 1e9,
  shareOfGemmPeak: flops / stepSeconds / gemmPeak,
};

const instructions = bench.program.instructions.map(({ op, outputs }, i) => {
  const { flops, bytes } = bench.costs[i]!;
  return { op, output: namesIn(outputs)[0]!, seconds: seconds[i]!, flops, bytes };
});

if (flags.json) {
  console.log(JSON.stringify({ ...summary, ...(profiled && { instructions }) }));
} else {
  if (profiled) printInstructions();
  printSummary();
}
bench.close();

function printSummary(): void {
  const share = Number.isFinite(gemmPeak)
    ? ` = ${(100 * summary.shareOfGemmPeak).toFixed(1)} % of the GEMM peak measured in turn with it, ${summary.gemmPeakGflops.toFixed(1)} GFLOP/s`
    : "";
  console.log(
    `${summary.engine}, ${summary.threads} thread${summary.threads > 1 ? "s" : ""}, batch ${summary.batch} ${summary.batching}, ${summary.windows} windows (mean ${summary.meanWindow.toFixed(2)}, ${summary.recurrentTimestepsOfSample.toFixed(2)} LSTM timesteps per sample), ${summary.precision}
${summary.users} users, ${summary.items} items; ${done} steps, loss ${loss.toFixed(4)}
${summary.millisecondsOfStep.toFixed(3)} ms per step: ${Math.round(summary.samplesPerSecond)} samples/s, ${summary.millisecondsWaitedForBatches.toFixed(3)} ms of it waiting for a batch${profiled ? " (timing each instruction makes it about 0.2 % slower)" : ""}
${(summary.flopsOfSample / 1e6).toFixed(3)} Mflop per sample: ${summary.gflops.toFixed(1)} GFLOP/s${share}`,
  );
}

function printInstructions(): void {
  const total = seconds.reduce((sum, value) => sum + value, 0);
  const line = (...cells: string[]) =>
    console.log(cells.map((cell, i) => (i < 2 ? cell.padEnd([26, 40][i]!) : cell.padStart(10))).join(" "));
  line("op", "output", "µs", "share", "Mflop", "MB", "GFLOP/s", "GB/s", "of peak");
  for (const { op, output, seconds, flops, bytes } of instructions) {
    line(
      op,
      output,
      (1e6 * seconds).toFixed(1),
      `${((100 * seconds) / total).toFixed(1)} %`,
      (flops / 1e6).toFixed(2),
      (bytes / 1e6).toFixed(2),
      (flops / seconds / 1e9).toFixed(1),
      (bytes / seconds / 1e9).toFixed(1),
      Number.isFinite(gemmPeak) ? `${((100 * flops) / seconds / gemmPeak).toFixed(1)} %` : "",
    );
  }
  line("all instructions", "", (1e6 * total).toFixed(1), "100 %");
  console.log("");
}
