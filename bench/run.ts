// Times every op on its large cases: `npm run bench`, `npm run bench -- --filter lstm --json`, `--cold`. It times
// native kernels on each instruction set that the processor has, after comparing their results with the TypeScript
// reference, and the reference itself. README.md explains the numbers.

import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import "./plain_errors.js";
import Benchmark from "benchmark";
import type { Engine, Executor, RunInputs } from "../src/executors/executor.js";
import { availableIsas, createNativeEngine } from "../src/executors/native.js";
import { createReferenceEngine } from "../src/executors/reference.js";
import { type Instruction, namesIn } from "../src/graph/program.js";
import { instructionCosts } from "../src/ops/cost.js";
import { OPS } from "../src/ops/index.js";
import { allCases } from "../test/cases/all_cases.js";
import { buildCase, type CaseGraph, storeOf } from "../test/cases/build_case.js";
import type { OpCase } from "../test/cases/case.js";
import { runDifference } from "../test/cases/compare.js";
import { type RunResult, runCase } from "../test/cases/run_case.js";
import { median } from "./contender.js";
import { type MachineLimits, measureLimits } from "./limits.js";
import { EVICTING, timedProgram } from "./timed_program.js";

const { values: flags } = parseArgs({
  options: {
    filter: { type: "string", default: "" },
    json: { type: "boolean", default: false },
    threads: { type: "string", default: "1" },
    isa: { type: "string" },
    cold: { type: "boolean", default: false },
    seconds: { type: "string", default: "0.3" },
    "no-limits": { type: "boolean", default: false },
  },
});

interface Row {
  readonly case: string;
  /** The op that is timed: that of the case, or one of its gradient. */
  readonly op: string;
  readonly engine: string;
  readonly threads: number;
  readonly cold: boolean;
  /** Median time of one instruction. */
  readonly microseconds: number;
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
  /** The limit of the machine that applies, and the share of it that is reached. */
  readonly bound?: keyof MachineLimits;
  readonly share?: number;
}

/** Ops that read rows of tables in an unpredictable order. */
const ROW_OPS = new Set([
  ...["embedding_lookup", "embedding_bag", "nce", "paddle_nce", "candidate_gradient", "decay_rows"],
  ...["sgd_rows", "adagrad_rows", "rowwise_adagrad_rows", "adam_rows"],
]);

/** Target duration of all copies of an instruction in one run. */
const WARM_SECONDS = 0.005;
const MOST_COPIES = 500;
const COLD_COPIES = 5;

/** Ops that have nothing left to do when they run a second time. */
const ONCE_OPS = new Set(["decay_rows"]);

const threads = Number(flags.threads);
const isas = flags.isa === undefined ? availableIsas() : flags.isa === "typescript" ? [] : [flags.isa];
const reference = createReferenceEngine({ ops: OPS });
const engines: Engine[] = isas.map((isa) => createNativeEngine({ threads, isa }));
if (flags.isa === undefined || flags.isa === "typescript") engines.push(reference);
/** Number of elements that are read to empty the caches. */
const evicted = flags.cold ? Math.ceil((1.25 * cacheBytes("last", 64 << 20)) / 4) : 0;
/**
 * Warm operands with fewer bytes than this stay in the threads' own caches, so the speed of memory is no limit for
 * them.
 */
const ownCaches = threads * cacheBytes("2", 1 << 20);

const limits = new Map<Engine, MachineLimits>();
if (!flags["no-limits"]) {
  for (const engine of engines.filter(({ kind }) => kind === "native")) {
    limits.set(engine, measureLimits(engine.isa, engine.threads));
    reportLimits(engine, limits.get(engine)!);
  }
}

let failed = false;
let found = 0;
for (const opCase of await allCases()) {
  if (!opCase.benchmark || !`${opCase.op}: ${opCase.name}`.includes(flags.filter)) continue;
  ++found;
  const built = buildCase(opCase, { gradients: true });
  const expected = opCase.large ? undefined : await runCase(reference, built);
  for (const engine of engines) {
    if (engine !== reference || !opCase.large) await measure(opCase, built, expected, engine);
  }
}
if (found === 0) console.error(`error: No case matches "${flags.filter}"`);
if (failed || found === 0) process.exitCode = 1;

async function measure(
  opCase: OpCase,
  built: CaseGraph,
  expected: RunResult | undefined,
  engine: Engine,
): Promise<void> {
  const name = `${opCase.op}: ${opCase.name}`;
  const checked = expected && engine !== reference;
  const wrong = checked ? runDifference(opCase, built, await runCase(engine, built), expected) : undefined;
  if (wrong !== undefined) {
    console.error(`${name}, ${engine.isa}: not timed, because it differs from the reference: ${wrong}`);
    failed = true;
    return;
  }
  const { inputs, program } = built;
  const once = program.instructions.some(({ op }) => ONCE_OPS.has(op));
  const create = (copies: readonly number[]) => {
    const timed = timedProgram(program, { copies, evicted });
    const store = storeOf(engine, built);
    if (evicted > 0) store.define({ name: EVICTING, dtype: "float32", shape: [evicted] });
    const executor = engine.createExecutor(timed.program, store, { profile: true });
    const refresh = () => {
      if (once) for (const [tensor, values] of Object.entries(built.stored)) store.write(tensor, values);
    };
    return { executor, places: timed.copies, refresh };
  };
  const first = create(program.instructions.map(() => 1));
  await first.executor.run(inputs, {});
  first.refresh();
  const estimates = await secondsOfRun(first.executor, inputs);
  const copies = first.places.map(([place]) => {
    const most = engine === reference || once ? 1 : flags.cold ? COLD_COPIES : MOST_COPIES;
    return Math.max(1, Math.min(most, Math.round(WARM_SECONDS / estimates[place!]!)));
  });
  first.executor.close();

  const { executor, places, refresh } = create(copies);
  const runs: (readonly number[])[] = [];
  const benchmark = new Benchmark({
    defer: true,
    maxTime: Number(flags.seconds),
    minSamples: 3,
    fn: (deferred: { resolve(): void }) => {
      refresh();
      secondsOfRun(executor, inputs).then((seconds) => {
        runs.push(seconds);
        deferred.resolve();
      });
    },
  });
  await new Promise((resolve) => benchmark.on("complete", resolve).run({ async: true }));
  executor.close();

  const costs = instructionCosts(program, {});
  program.instructions.forEach((instruction, i) => {
    const seconds = median(runs.flatMap((run) => places[i]!.map((place) => run[place]!)));
    const label = i === 0 ? name : `  ${instruction.op} ${namesIn(instruction.outputs)[0]}`;
    report(label, rowOf(name, instruction, engine, seconds, costs[i]!));
  });
}

/** Runs once, and returns the seconds that each instruction took. */
async function secondsOfRun(executor: Executor, inputs: RunInputs): Promise<number[]> {
  const before = [...executor.profile!];
  await executor.run(inputs, {});
  return executor.profile!.map((seconds, i) => seconds - before[i]!);
}

function rowOf(
  name: string,
  { op, attributes }: Instruction,
  engine: Engine,
  seconds: number,
  { flops, bytes }: { readonly flops: number; readonly bytes: number },
): Row {
  const row = {
    case: name,
    op,
    engine: `${engine.kind} ${engine.isa}`,
    threads: engine.threads,
    cold: flags.cold,
    microseconds: 1e6 * seconds,
    gflops: flops / seconds / 1e9,
    gigabytesPerSecond: bytes / seconds / 1e9,
  };
  const limit = limits.get(engine);
  if (!limit) return row;
  const memory = ROW_OPS.has(op) ? "rows" : "copy";
  const arithmetic = engine.isa === "avx512_bf16" && attributes["precision"] === "bf16" ? "bf16" : "flops";
  const inCache = !flags.cold && bytes < ownCaches;
  const bound = inCache || flops / limit[arithmetic] > bytes / limit[memory] ? arithmetic : memory;
  return { ...row, bound, share: (bound === arithmetic ? flops : bytes) / limit[bound] / seconds };
}

function reportLimits({ kind, isa, threads: count }: Engine, limit: MachineLimits): void {
  if (flags.json) {
    console.log(JSON.stringify({ limits: limit, engine: `${kind} ${isa}`, threads: count, cpu: cpus()[0]?.model }));
    return;
  }
  const giga = (value: number, unit: string) => `${(value / 1e9).toFixed(1)} ${unit}`;
  const bf16 = limit.bf16 > 0 ? ` (bfloat16 dot products ${giga(limit.bf16, "GFLOP/s")})` : "";
  console.log(
    `${isa}, ${count} threads: at most ${giga(limit.flops, "GFLOP/s")}${bf16}, copy ${giga(limit.copy, "GB/s")}, random 256-byte rows ${giga(limit.rows, "GB/s")}`,
  );
}

function report(label: string, row: Row): void {
  if (flags.json) {
    console.log(JSON.stringify(row));
    return;
  }
  const columns = [
    label.padEnd(56),
    row.engine.padEnd(20),
    `${row.microseconds.toFixed(2)} µs`.padStart(14),
    `${row.gflops.toFixed(2)} GFLOP/s`.padStart(16),
    `${row.gigabytesPerSecond.toFixed(2)} GB/s`.padStart(13),
    row.share === undefined ? "" : `${(100 * row.share).toFixed(0)} % of ${row.bound}`.padStart(16),
  ];
  console.log(columns.join(" ").trimEnd());
}

/** Size in bytes of a cache of this processor ("last" is the largest), from /sys; `otherwise` if it is not known. */
function cacheBytes(level: "2" | "last", otherwise: number): number {
  const folder = "/sys/devices/system/cpu/cpu0/cache";
  const units: Readonly<Record<string, number>> = { K: 1 << 10, M: 1 << 20, G: 1 << 30 };
  const read = (index: string, file: string) => readFileSync(`${folder}/${index}/${file}`, "utf8").trim();
  try {
    const sizes = readdirSync(folder)
      .filter((name) => name.startsWith("index") && (level === "last" || read(name, "level") === level))
      .map((index) => {
        const [, size, unit] = /^(\d+)([KMG])/.exec(read(index, "size")) ?? [];
        return Number(size) * units[unit!]!;
      });
    return Math.max(...sizes, 1 << 20);
  } catch {
    return otherwise; // not Linux
  }
}
