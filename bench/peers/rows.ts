// The comparisons: the work, both sides, and the ratio to reach.

import { join } from "node:path";
import { type TensorToWrite, writeSafetensors } from "../../src/data/safetensors.js";
import { createNativeEngine, createReferenceEngine, type Engine } from "../../src/executors/index.js";
import { countElements } from "../../src/graph/dims.js";
import { formatProgram, storedTensors } from "../../src/graph/program.js";
import { type ModelConfig, resolveConfig } from "../../src/model/config.js";
import { OPS } from "../../src/ops/index.js";
import { type Contender, kernelContender, searchContender } from "../contender.js";
import {
  type BagIds,
  type BagSizes,
  bag,
  bagBytes,
  bagIds,
  gemm,
  gemmFlops,
  lstmFlops,
  lstmTraining,
  softmaxFlops,
  softmaxTraining,
} from "../kernels.js";
import { measureLimits } from "../limits.js";
import { type BenchLog, type SyntheticOptions, syntheticLog } from "../synthetic.js";
import { batchesOf, originalConfig, ringOf, TrainingBench, trainingContender } from "../training.js";
import type { Peer } from "./peer.js";

export interface Peers {
  readonly python: Peer | undefined;
  readonly tensorflow: Peer | undefined;
  /** Folder for files that peers read. */
  readonly folder: string;
}

/** How to convert a side's time to the rate that is shown: units of work, flops or bytes per second. */
export interface Measure {
  readonly unit: "GFLOP/s" | "GB/s" | "samples/s" | "queries/s";
  /** How much of `unit` one unit of work is. */
  readonly amount: number;
}

/** One line of the results: `ours` compared with the fastest of `others`. */
export interface Row {
  readonly group: string;
  readonly name: string;
  readonly threads: number;
  /** The ratio of rates to reach; undefined if there is no target. */
  readonly target?: number | undefined;
  readonly measure: Measure;
  /** The measure of the other side, if it does different work. The ratio is then that of the rates. */
  readonly othersMeasure?: Measure;
  /** The peer that the other side needs. */
  readonly needs: "python" | "tensorflow" | "nothing";
  ours(): Promise<Contender>;
  /** The variants of the other side. All are tried, and the fastest is compared. */
  others(): readonly (() => Promise<Contender>)[];
}

const samples: Measure = { unit: "samples/s", amount: 1 };
/** Numbers of outputs and inputs of the products of the original network and of the default preset. */
const OUTPUTS_AND_WIDTHS = [
  [256, 64],
  [256, 240],
  [31, 256],
  [64, 256],
  [512, 128],
  [256, 432],
  [128, 688],
  [128, 128],
] as const;
const PEAK = { rows: 2048, out: 2048, inner: 2048 };
const peakMeasure: Measure = { unit: "GFLOP/s", amount: gemmFlops(PEAK) / 1e9 };

const engines = new Map<number, Engine>();

function engineOf(threads: number): Engine {
  const engine = engines.get(threads) ?? createNativeEngine({ threads });
  engines.set(threads, engine);
  return engine;
}

/** The instruction set of this engine's kernels. */
export function isaOf(): string {
  return engineOf(1).isa;
}

const FEW_LONG_SEQUENCES = { batch: 10, timesteps: 100, width: 128 };

/** The synthetic logs, one for all rows with the same sizes. */
const logs = new Map<string, BenchLog>();

function logOf(options: SyntheticOptions = {}): BenchLog {
  const key = JSON.stringify(options);
  const log = logs.get(key) ?? syntheticLog(options);
  logs.set(key, log);
  return log;
}

/** Every row, in the order of the results. `threads` is for rows that do not state a number of their own. */
export function rowsOf(peers: Peers, threads: number): Row[] {
  return [
    ...gemmRows(peers, threads),
    ...lstmRows(peers, threads),
    ...softmaxRows(peers, threads),
    ...bagRows(peers, threads),
    ...scanRows(peers, threads),
    ...recallRows(peers, threads),
    ...presetRows(peers, threads),
    ...ownRows(threads),
    ...tensorflowRows(peers, threads),
  ];
}

function gemmRows({ python }: Peers, most: number): Row[] {
  const rows: Row[] = [];
  const add = (rows_: number, out: number, inner: number, threads: number, target: number) => {
    const sizes = { rows: rows_, out, inner };
    const name = `${rows_} × ${out} × ${inner}`;
    rows.push({
      group: "gemm",
      name,
      threads,
      target,
      measure: { unit: "GFLOP/s", amount: gemmFlops(sizes) / 1e9 },
      needs: "python",
      ours: () => kernelContender("shortlist", engineOf(threads), gemm(sizes)),
      others: () => [() => python!.contender("torch.mm", "gemm", { ...sizes, threads })],
    });
  };
  for (const threads of new Set([1, most])) {
    for (const count of [50, 256, 1024, 20480]) {
      for (const [out, inner] of OUTPUTS_AND_WIDTHS) add(count, out, inner, threads, 1);
    }
    add(PEAK.rows, PEAK.out, PEAK.inner, threads, 0.9);
  }
  return rows;
}

function lstmRows({ python }: Peers, threads: number): Row[] {
  // The last is a batch of the default preset on long histories: few sequences, each of many targets.
  const all = [...[50, 256, 1024, 4096].map((batch) => ({ batch, timesteps: 20, width: 64 })), FEW_LONG_SEQUENCES];
  return all.flatMap((sizes): Row[] => {
    const { batch, timesteps, width } = sizes;
    const row = {
      group: "lstm",
      threads,
      measure: { unit: "GFLOP/s", amount: lstmFlops(sizes) / 1e9 },
      ours: () => kernelContender("shortlist", engineOf(threads), lstmTraining(sizes)),
    } as const;
    const name = `${width} → ${width}, T = ${timesteps}, forward + backward, batch ${batch}`;
    return [
      {
        ...row,
        name,
        target: sizes === FEW_LONG_SEQUENCES ? 3 : batch < 1024 ? 1.4 : 2,
        needs: "python",
        others: () => [() => python!.contender("torch.nn.LSTM", "lstm", { ...sizes, threads })],
      },
      {
        ...row,
        name: `${name}: share of the GEMM peak`,
        target: 0.7,
        othersMeasure: peakMeasure,
        needs: "nothing",
        others: () => [() => kernelContender("GEMM 2048³", engineOf(threads), gemm(PEAK))],
      },
    ];
  });
}

/** The loss of the default preset at the sizes of MovieLens-1M, against each way in which PyTorch computes it. */
function softmaxRows({ python }: Peers, threads: number): Row[] {
  const sizes = { samples: 512, items: 3417, width: 128 };
  const ways = [
    { loss: "cross_entropy" },
    { loss: "cross_entropy", compiled: true },
    { loss: "cross_entropy", bf16: true },
    { loss: "cross_entropy", compiled: true, bf16: true },
    { loss: "linear_cross_entropy" },
    { loss: "linear_cross_entropy", bf16: true },
  ];
  return (["float32", "bf16"] as const).map((precision) => ({
    group: "softmax",
    name: `loss and gradients of 512 samples, 3,417 items × 128${precision === "bf16" ? ", bf16" : ""}`,
    threads,
    target: 2,
    measure: { unit: "GFLOP/s", amount: softmaxFlops(sizes) / 1e9 },
    needs: "python",
    ours: () => kernelContender("shortlist", engineOf(threads), softmaxTraining({ ...sizes, precision })),
    others: () =>
      ways.map(({ loss, ...flags }) => async () => {
        const name = ["PyTorch", loss, ...Object.keys(flags)].join(" ");
        return python!.contender(name, "softmax", { ...sizes, threads, fused: loss !== "cross_entropy", ...flags });
      }),
  }));
}

function bagRows({ python, folder }: Peers, threads: number): Row[] {
  const bags = new Map<string, { ids: BagIds; path: string }>();
  const prepare = async (sizes: BagSizes) => {
    const ids = bags.get(sizes.distribution)?.ids ?? bagIds(sizes);
    const path = join(folder, `bag-${sizes.distribution}.safetensors`);
    if (!bags.has(sizes.distribution)) {
      const sets = ids.sets.map((data, i) => [`set${i}`, data] as const);
      await writeArrays(path, { offsets: ids.offsets, ...Object.fromEntries(sets) });
      bags.set(sizes.distribution, { ids, path });
    }
    return { ids, path };
  };
  const rows: Row[] = [];
  for (const train of [false, true]) {
    for (const distribution of ["uniform", "zipf"] as const) {
      const sizes: BagSizes = { rows: 1_000_000, width: 64, bags: 4096, lengths: [1, 40], distribution };
      const ids = (): BagIds => bags.get(distribution)?.ids ?? bagIds(sizes);
      const row: Row = {
        group: train ? "adagrad" : "bag",
        name: `mean of 1–40 rows of 1 M × 64, ${distribution} ids, 4096 bags${train ? ", forward + backward + AdaGrad" : ""}`,
        threads,
        target: train ? 5 : 1.5,
        measure: {
          unit: "GB/s",
          get amount() {
            return bagBytes(sizes, ids()) / 1e9;
          },
        },
        needs: "python",
        ours: async () =>
          kernelContender("shortlist", engineOf(threads), bag(sizes, (await prepare(sizes)).ids, { train })),
        others: () => [
          async () => {
            const { path } = await prepare(sizes);
            const name = train ? "EmbeddingBag + sparse Adagrad" : "EmbeddingBag";
            return python!.contender(name, train ? "bag_adagrad" : "bag", {
              path,
              rows: sizes.rows,
              width: sizes.width,
              threads,
            });
          },
        ],
      };
      rows.push(row);
      if (train) continue;
      rows.push({
        ...row,
        name: `${row.name}: share of the speed of random rows`,
        target: undefined,
        measure: row.measure,
        othersMeasure: { unit: "GB/s", amount: 1e-9 },
        needs: "nothing",
        others: () => [async () => randomRows(threads)],
      });
    }
  }
  return rows;
}

/** Reads of random rows of 256 bytes, measured by limits.cc. A unit of work is a byte. */
function randomRows(threads: number): Contender {
  const { rows } = measureLimits(isaOf(), threads);
  return { name: "random 256-byte rows", measure: async () => 1 / rows, close: () => {} };
}

function scanRows({ python }: Peers, threads: number): Row[] {
  const row = (queries: number, firstPass: "int8" | "none", target: number | undefined): Row => {
    const sizes = { items: 1_000_000, width: 32, queries, top: 100 };
    const how = firstPass === "int8" ? ", first pass in 8 bits" : "";
    return {
      group: "scan",
      name: `exact top 100 of 1 M × 32, ${queries} ${queries === 1 ? "query" : "queries"}${how}`,
      threads,
      target,
      measure: { unit: "queries/s", amount: 1 },
      needs: "python",
      ours: () => searchContender("shortlist", engineOf(threads), { ...sizes, firstPass }),
      others: () => [() => python!.contender("faiss IndexFlatIP", "scan", { ...sizes, threads })],
    };
  };
  return [
    row(1, "none", undefined),
    row(1, "int8", undefined),
    row(16, "none", 8),
    row(16, "int8", 8),
    row(256, "none", 8),
    row(256, "int8", 8),
  ];
}

/** The variants of the training step in PyTorch. */
const PYTORCH_WAYS = [
  { packed: true },
  { packed: false },
  { packed: false, bf16: true },
  { packed: false, compiled: true },
  { packed: false, compiled: true, bf16: true },
];

/** The name of a variant, such as "PyTorch padded bf16". */
function nameOf({ packed, ...ways }: (typeof PYTORCH_WAYS)[number]): string {
  return ["PyTorch", packed ? "packed" : "padded", ...Object.keys(ways)].join(" ");
}

function recallRows(peers: Peers, threads: number): Row[] {
  const paths = new Map<number, Promise<string>>();
  const pathOf = (batch: number) => {
    const path = paths.get(batch) ?? writeBatches(peers.folder, batch);
    paths.set(batch, path);
    return path;
  };
  const pytorch = (batch: number) =>
    PYTORCH_WAYS.map((way) => async () => {
      const path = await pathOf(batch);
      return peers.python!.contender(`${nameOf(way)}, batch ${batch}`, "recall", { path, threads, ...way });
    });
  const row = (name: string, target: number, batch: number, changes: readonly string[], batches: number[]): Row => ({
    group: "recall",
    name,
    threads,
    target,
    measure: samples,
    needs: "python",
    ours: () => recallContender(threads, [`batchSize=${batch}`, ...changes]),
    others: () => batches.flatMap(pytorch),
  });
  const any = [256, 1024, 4096];
  return [
    row("step, isolated windows, batch 50", 5, 50, [], [50]),
    row("step, isolated windows, batch 256", 4, 256, [], [256]),
    row("step, isolated windows, batch 1024", 4, 1024, [], [1024]),
    row("step, shared, batch 4096", 7, 4096, ["batching=shared"], any),
    row("step, growing windows, shared, batch 4096", 15, 4096, ["batching=shared", "windows=growing"], any),
  ];
}

/** Logs like public data sets: their numbers of users and items, and their mean numbers of clicks. */
const LOGS = {
  "like MovieLens-1M": { users: 6040, items: 3416, tags: 18, meanClicks: 165 },
  "like Beauty": { users: 22_363, items: 12_101, tags: 250, meanClicks: 9 },
  "a million items": { users: 100_000, items: 1_000_000, tags: 20_000, meanClicks: 14 },
} satisfies Readonly<Record<string, SyntheticOptions>>;

/** Steps of the preset that people run, in both precisions, against PyTorch running the same Program in any. */
function presetRows({ python, folder }: Peers, threads: number): Row[] {
  const paths = new Map<string, Promise<string>>();
  const pathOf = (name: keyof typeof LOGS) => {
    const path =
      paths.get(name) ?? writeProgram(join(folder, `${name}.safetensors`), logOf(LOGS[name]), resolveConfig("default"));
    paths.set(name, path);
    return path;
  };
  return (Object.keys(LOGS) as (keyof typeof LOGS)[]).flatMap((name) =>
    (["float32", "bf16"] as const).map((precision): Row => {
      const config = resolveConfig("default", {}, [`precision=${precision}`]);
      return {
        group: "preset",
        name: `step of \`default\`${precision === "bf16" ? " in bf16" : ""}, ${name}`,
        threads,
        target: name === "a million items" ? 4 : 2.5,
        measure: samples,
        needs: "python",
        ours: () => trainingContender("shortlist", { engine: engineOf(threads), log: logOf(LOGS[name]), config }),
        others: () =>
          PYTORCH_WAYS.map((way) => async () => {
            return python!.contender(nameOf(way), "program", { path: await pathOf(name), threads, ...way });
          }),
      };
    }),
  );
}

/** Tables with more elements are not written: PyTorch fills its own with random numbers. */
const MOST_WRITTEN = 1 << 24;

/** Writes the Program of a training, its initial weights, and the batches on which our side trains. */
async function writeProgram(path: string, log: BenchLog, config: ModelConfig): Promise<string> {
  const engine = engineOf(1);
  const bench = new TrainingBench({ engine, log, config });
  const arrays: Record<string, Int32Array | Float32Array> = {};
  for (const { name, role, shape } of storedTensors(bench.program)) {
    if (role === "optimizer_state" || countElements(shape, {}) > MOST_WRITTEN) continue;
    const values = bench.store.read(name);
    // The thresholds of the draws are left out: PyTorch draws by the probabilities.
    if (!(values instanceof Float32Array || values instanceof Int32Array)) continue;
    arrays[`${role === "parameter" ? "weight" : "constant"}.${name}`] = values;
  }
  let batches = 0;
  for (const { inputs } of ringOf(batchesOf(engine, log, config), config)) {
    for (const [name, values] of Object.entries(inputs)) arrays[`${batches}.${name}`] = values;
    batches++;
  }
  await writeArrays(path, arrays, {
    ...{ program: formatProgram(bench.program), batches: String(batches) },
    ...{ draws: String(config.draws), learning_rate: String(config.learningRate) },
  });
  bench.close();
  return path;
}

function recallContender(
  threads: number,
  changes: readonly string[],
  sizes: SyntheticOptions = {},
  engine = engineOf(threads),
) {
  return trainingContender("shortlist", { engine, log: logOf(sizes), config: originalConfig(changes) });
}

/**
 * Independent trainings at the same time, each with an engine of its own, since one engine would run them in turn. The
 * rate counts the samples of all of them.
 */
async function trainingsAtOnce(count: number, changes: readonly string[]): Promise<Contender> {
  const trainings = await Promise.all(
    Array.from({ length: count }, () => recallContender(1, changes, {}, createNativeEngine({ threads: 1 }))),
  );
  return {
    name: `shortlist, ${count} trainings`,
    measure: async (seconds) => {
      const times = await Promise.all(trainings.map((training) => training.measure(seconds)));
      return 1 / times.reduce((rate, time) => rate + 1 / time, 0);
    },
    close: async () => {
      for (const training of trainings) await training.close();
    },
  };
}

/** Writes the batches on which our side trains to a file for PyTorch. */
async function writeBatches(folder: string, batch: number): Promise<string> {
  const log = logOf();
  const config = originalConfig([`batchSize=${batch}`]);
  const ring = [...ringOf(batchesOf(engineOf(1), log, config), config)];
  const path = join(folder, `batches-${batch}.safetensors`);
  const arrays: Record<string, Int32Array | Float32Array> = { noise: Float32Array.from(log.noise.distribution) };
  ring.forEach(({ inputs }, i) => {
    for (const [name, values] of Object.entries(inputs)) arrays[`${i}.${name}`] = values;
  });
  const sizes = [...log.encoding.vocabularies].map(([name, { size }]) => [`size.${name}`, String(size)]);
  const metadata = { batches: String(ring.length), draws: String(config.draws), ...Object.fromEntries(sizes) };
  await writeArrays(path, arrays, metadata);
  return path;
}

async function writeArrays(
  path: string,
  arrays: Readonly<Record<string, Int32Array | Float32Array>>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const tensors = Object.entries(arrays).map(
    ([name, data]): TensorToWrite => ({
      name,
      dtype: data instanceof Int32Array ? "int32" : "float32",
      shape: [data.length],
      data,
    }),
  );
  await writeSafetensors(path, tensors, metadata);
}

/** Comparisons of the engine with itself: with other threads, precision and sizes, and with the reference. */
function ownRows(threads: number): Row[] {
  const own = (
    name: string,
    target: number | undefined,
    used: number,
    ours: () => Promise<Contender>,
    others: () => Promise<Contender>,
  ): Row => ({
    group: "own",
    name,
    threads: used,
    target,
    measure: samples,
    needs: "nothing",
    ours,
    others: () => [others],
  });
  const named = async (name: string, contender: Promise<Contender>) => ({ ...(await contender), name });
  const fewRows: SyntheticOptions = { users: 10_000, items: 10_000, tags: 10_000 };
  const manyRows: SyntheticOptions = { users: 5_000_000, items: 5_000_000, tags: 5_000_000, activeUsers: 100_000 };
  const shared = ["batchSize=4096", "batching=shared"];
  const growing = [...shared, "windows=growing"];
  const bf16 = (changes: readonly string[], name: string) =>
    own(
      `bf16, ${name}: against float32`,
      1.3,
      threads,
      () => recallContender(threads, [...changes, "precision=bf16"]),
      () => named("shortlist, float32", recallContender(threads, changes)),
    );
  const step = ["batchSize=1024"];
  return [
    bf16(shared, "shared, batch 4096"),
    bf16(growing, "growing windows, batch 4096"),
    {
      group: "own",
      name: "step, isolated windows, batch 1024: share of the GEMM peak, necessary flops",
      threads,
      target: 0.5,
      measure: {
        unit: "GFLOP/s",
        get amount() {
          return flopsOfSample(step) / 1e9;
        },
      },
      othersMeasure: peakMeasure,
      needs: "nothing",
      ours: () => recallContender(threads, step),
      others: () => [() => kernelContender("GEMM 2048³", engineOf(threads), gemm(PEAK))],
    },
    own(
      "native against the TypeScript reference, batch 50",
      50,
      1,
      () => recallContender(1, ["batchSize=50"]),
      async () =>
        trainingContender("reference", {
          engine: createReferenceEngine({ ops: OPS }),
          log: logOf(),
          config: originalConfig(["batchSize=50"]),
        }),
    ),
    own(
      "2 threads against 1, batch 1024",
      1.7,
      2,
      () => recallContender(2, step),
      () => named("shortlist, 1 thread", recallContender(1, step)),
    ),
    own(
      "2 trainings of a thread each at once against one, batch 1024: what 2 threads have to share",
      undefined,
      1,
      () => trainingsAtOnce(2, step),
      () => named("shortlist, 1 training", recallContender(1, step)),
    ),
    own(
      "tables of 5 M rows against 10 k rows, batch 1024 (at least 1/1.5)",
      1 / 1.5,
      threads,
      () => recallContender(threads, step, manyRows),
      () => named("shortlist, 10 k rows", recallContender(threads, step, fewRows)),
    ),
  ];
}

function flopsOfSample(changes: readonly string[]): number {
  const bench = new TrainingBench({ engine: engineOf(1), log: logOf(), config: originalConfig(changes) });
  const flops = bench.flopsOfStep / bench.samples;
  bench.close();
  return flops;
}

function tensorflowRows({ tensorflow }: Peers, threads: number): Row[] {
  const backends = ["wasm", "cpu"];
  const gemmSizes = { rows: 1024, out: 256, inner: 240 };
  const lstmSizes = { batch: 256, timesteps: 20, width: 64 };
  const bagSizes: BagSizes = { rows: 20_000, width: 64, bags: 4096, lengths: [20, 20], distribution: "uniform" };
  const ids = bagIds(bagSizes);
  const row = { group: "tensorflow", threads, target: undefined, needs: "tensorflow" } as const;
  return [
    {
      ...row,
      name: "GEMM 1024 × 256 × 240",
      measure: { unit: "GFLOP/s", amount: gemmFlops(gemmSizes) / 1e9 },
      ours: () => kernelContender("shortlist", engineOf(threads), gemm(gemmSizes)),
      others: () =>
        backends.map(
          (backend) => () => tensorflow!.contender(`tfjs ${backend}`, "gemm", { backend, threads, ...gemmSizes }),
        ),
    },
    {
      ...row,
      name: "LSTM 64 → 64, T = 20, forward + backward, batch 256",
      measure: { unit: "GFLOP/s", amount: lstmFlops(lstmSizes) / 1e9 },
      ours: () => kernelContender("shortlist", engineOf(threads), lstmTraining(lstmSizes)),
      others: () =>
        backends.map(
          (backend) => () => tensorflow!.contender(`tfjs ${backend}`, "lstm", { backend, threads, ...lstmSizes }),
        ),
    },
    {
      ...row,
      name: "mean of 20 rows of 20 k × 64, uniform ids, 4096 bags",
      measure: { unit: "GB/s", amount: bagBytes(bagSizes, ids) / 1e9 },
      ours: () => kernelContender("shortlist", engineOf(threads), bag(bagSizes, ids, { train: false })),
      others: () =>
        backends.map(
          (backend) => () =>
            tensorflow!.contender(`tfjs ${backend}`, "bag", {
              backend,
              threads,
              rows: 20_000,
              bags: 4096,
              length: 20,
              width: 64,
            }),
        ),
    },
  ];
}
