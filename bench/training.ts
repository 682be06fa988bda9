import type { Batch, TrainingBatches } from "../src/data/batches.js";
import { itemAttributes } from "../src/data/catalogue.js";
import { itemVocabulary } from "../src/data/clicks.js";
import { openDataset } from "../src/data/dataset.js";
import type { Engine, Executor, TensorStore } from "../src/executors/executor.js";
import type { DimSizes } from "../src/graph/dims.js";
import type { Program } from "../src/graph/program.js";
import { forCatalogue, type ModelConfig, resolveConfig } from "../src/model/config.js";
import { trainingBatchOptions } from "../src/model/network.js";
import { trainingProgram } from "../src/model/programs.js";
import { instructionCosts } from "../src/ops/cost.js";
import { noiseOf } from "../src/train/training_network.js";
import { type Contender, medianOfBlocks } from "./contender.js";
import { benchStore } from "./store.js";
import type { BenchLog } from "./synthetic.js";

/** PaddlePaddle's network with NCE as the peers implement it: without peepholes and decay, and with the mean loss. */
const ORIGINAL = [
  ...["loss=nce", "draws=5", "noisePower=1", "reduction=mean", "peepholes=false"],
  ...["l2=0", "l2Biases=false", "l2Output=false"],
];

/** The configuration of the original, with changes. */
export function originalConfig(changes: readonly string[] = []): ModelConfig {
  return resolveConfig("paddle", {}, [...ORIGINAL, ...changes]);
}

/** The clicks of a dataset folder. */
export async function datasetLog(folder: string, config: ModelConfig): Promise<BenchLog> {
  const dataset = await openDataset(folder);
  return { clicks: dataset.clicks, encoding: dataset, noise: noiseOf(dataset, config) };
}

const RING = 64;
/** Limit of the number of positions in the ring of batches, for large batches. */
const RING_POSITIONS = 2_000_000;
const SEED = 1;

/** Training batches as `train` makes them. */
export function batchesOf(engine: Engine, log: BenchLog, config: ModelConfig): TrainingBatches {
  return engine.createTrainingBatches({
    clicks: log.clicks,
    seed: SEED,
    ...trainingBatchOptions(config, log.encoding.schema),
  });
}

/** The first batches of the epoch: steps go round them, so that all sides of a comparison have the very same ones. */
export function* ringOf(batches: TrainingBatches, { batchSize }: ModelConfig): Iterable<Batch> {
  let positions = 0;
  for (let i = 0; i < Math.min(RING, batches.batchesPerEpoch) && positions < RING_POSITIONS; i++) {
    const batch = batches.batch(0, i);
    if (i > 0 && batch.dims["samples"]! < batchSize / 2) break;
    yield batch;
    positions += batch.dims["positions"]!;
  }
}

export interface TrainingOptions {
  readonly engine: Engine;
  readonly log: BenchLog;
  readonly config: ModelConfig;
  /** Whether to time each instruction (default false). */
  readonly profile?: boolean;
}

/**
 * Training steps on synthetic clicks, for timing. It makes the calls that `train` makes, with batches built ahead as
 * there.
 */
export class TrainingBench {
  readonly program: Program;
  readonly store: TensorStore;
  /** Sizes of the batches in the ring. */
  readonly dims: readonly DimSizes[];
  /** Mean number of clicks in the history of a sample. */
  readonly window: number;
  readonly #batches: TrainingBatches;
  readonly #executor: Executor;
  readonly #learningRate: Float32Array;
  #step = 0;

  constructor({ engine, log, config, profile = false }: TrainingOptions) {
    const items = itemVocabulary(log.encoding).size;
    const catalogue = itemAttributes(log.clicks, items);
    const { program, initializers } = trainingProgram(forCatalogue(config, items), log.encoding, log.noise, catalogue);
    this.program = program;
    this.#learningRate = Float32Array.of(config.learningRate);
    this.store = benchStore(engine, program, initializers);
    this.#executor = engine.createExecutor(program, this.store, { profile });
    this.#batches = batchesOf(engine, log, config);
    const dims: DimSizes[] = [];
    let [samples, history] = [0, 0];
    for (const batch of ringOf(this.#batches, config)) {
      dims.push(batch.dims);
      samples += batch.dims["samples"]!;
      history += sum(batch.inputs["sample_end"]!) - sum(batch.inputs["sample_start"]!);
    }
    this.dims = dims;
    this.window = history / samples;
  }

  /** Mean number of samples in a batch. */
  get samples(): number {
    return mean(this.dims.map((dims) => dims["samples"]!));
  }

  /** Mean number of LSTM timesteps per sample. */
  get recurrentTimesteps(): number {
    return mean(this.dims.map((dims) => dims["timesteps"]!)) / this.samples;
  }

  get flopsOfStep(): number {
    return sum(this.costs.map(({ flops }) => flops));
  }

  /** The cost of each instruction, averaged over the ring. */
  get costs(): { flops: number; bytes: number }[] {
    const all = this.dims.map((dims) => instructionCosts(this.program, dims));
    return this.program.instructions.map((_, i) => ({
      flops: mean(all.map((costs) => costs[i]!.flops)),
      bytes: mean(all.map((costs) => costs[i]!.bytes)),
    }));
  }

  /** Seconds spent in each instruction so far. */
  get profile(): readonly number[] {
    return [...(this.#executor.profile ?? [])];
  }

  /** Runs steps. Returns the loss of the last one, and the seconds spent waiting for batches. */
  async run(steps: number): Promise<{ loss: number; secondsWaited: number }> {
    let [loss, waited] = [Number.NaN, 0];
    for (let left = steps; left > 0; ) {
      const index = this.#step % this.dims.length;
      const count = Math.min(left, this.dims.length - index);
      const { outputs, secondsWaited } = await this.#executor.runSteps(this.#batches, {
        epoch: 0,
        index,
        steps: count,
        scalars: {
          seed: Uint32Array.of(SEED),
          step: Uint32Array.from({ length: count }, (_, i) => this.#step + i),
          learning_rate: this.#learningRate,
        },
      });
      loss = outputs["loss"]![count - 1]!;
      waited += secondsWaited;
      this.#step += count;
      left -= count;
    }
    if (!Number.isFinite(loss)) throw new Error(`The loss is ${loss} after ${this.#step} steps`);
    return { loss, secondsWaited: waited };
  }

  close(): void {
    this.#executor.close();
  }
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

const mean = (values: readonly number[]) => sum(values) / values.length;

const BLOCK_SECONDS = 0.05;

/** Whole training steps. A unit of work is a sample. */
export async function trainingContender(name: string, options: TrainingOptions): Promise<Contender> {
  const bench = new TrainingBench(options);
  await bench.run(2);
  const seconds = await medianOfBlocks(0, () => bench.run(1));
  const steps = Math.max(1, Math.round(BLOCK_SECONDS / seconds));
  return {
    name,
    measure: async (wanted) => (await medianOfBlocks(wanted, () => bench.run(steps))) / (steps * bench.samples),
    close: () => bench.close(),
  };
}
