import { type Batch, SharedBatches, ShuffledBatches, type TrainingBatches } from "../src/data/batches.js";
import type { Engine, Executor } from "../src/executors/executor.js";
import type { Program } from "../src/graph/program.js";
import { type ModelConfig, resolveConfig } from "../src/model/config.js";
import { trainingProgram } from "../src/model/programs.js";
import { instructionCosts } from "../src/ops/cost.js";
import { type Contender, medianOfBlocks } from "./contender.js";
import { benchStore } from "./store.js";
import type { SyntheticLog } from "./synthetic.js";

/** PaddlePaddle's network with the NCE of the paper, as the peers have it: no peepholes, no decay, the mean loss. */
const ORIGINAL = [
  ...["loss=nce", "draws=5", "noisePower=1", "reduction=mean", "peepholes=false"],
  ...["l2=0", "l2Biases=false", "l2Output=false"],
];

/** The original's configuration with changes on top. */
export function originalConfig(changes: readonly string[] = []): ModelConfig {
  return resolveConfig("paddle", {}, [...ORIGINAL, ...changes]);
}

const RING = 64;
/** Positions that the ring of batches holds at most, of large batches. */
const RING_POSITIONS = 2_000_000;

export function batchesOf(log: SyntheticLog, config: ModelConfig): TrainingBatches {
  const { window, batchSize } = config;
  const options = { clicks: log.clicks, window, batchSize, seed: 1 };
  return config.batching === "shared" ? new SharedBatches(options) : new ShuffledBatches(options);
}

/** The batches that steps go round, made before any is timed. */
export function ringOf(log: SyntheticLog, config: ModelConfig): Batch[] {
  const batches = batchesOf(log, config);
  const ring: Batch[] = [];
  let positions = 0;
  for (let i = 0; i < Math.min(RING, batches.batchesPerPass) && positions < RING_POSITIONS; i++) {
    const batch = batches.batch(0, i);
    if (batch.dims["samples"] !== config.batchSize && i > 0) break;
    ring.push(batch);
    positions += batch.dims["positions"]!;
  }
  return ring;
}

export interface TrainingOptions {
  readonly engine: Engine;
  readonly log: SyntheticLog;
  readonly config: ModelConfig;
  /** Time each instruction (default false). */
  readonly profile?: boolean;
}

/** Training steps over synthetic clicks, to be timed. */
export class TrainingBench {
  readonly program: Program;
  readonly ring: readonly Batch[];
  readonly #executor: Executor;
  readonly #learningRate: Float32Array;
  #step = 0;

  constructor({ engine, log, config, profile = false }: TrainingOptions) {
    const { program, initializers } = trainingProgram(config, log.encoding, log.noise);
    this.program = program;
    this.ring = ringOf(log, config);
    this.#learningRate = Float32Array.of(config.learningRate);
    this.#executor = engine.createExecutor(program, benchStore(engine, program, initializers), { profile });
  }

  /** Samples of a batch, over the ring. */
  get samples(): number {
    return this.#mean(({ dims }) => dims["samples"]!);
  }

  /** Clicks of history that a sample has, over the ring. */
  get window(): number {
    const history = ({ inputs }: Batch) => sum(inputs["sample_end"]!) - sum(inputs["sample_start"]!);
    return this.#mean(history) / this.samples;
  }

  /** Steps of recurrence for a sample, over the ring. */
  get recurrentSteps(): number {
    return this.#mean(({ dims }) => dims["steps"]!) / this.samples;
  }

  get flopsOfStep(): number {
    return this.costs.reduce((total, { flops }) => total + flops, 0);
  }

  /** Of each instruction, over the ring. */
  get costs(): { flops: number; bytes: number }[] {
    const all = this.ring.map(({ dims }) => instructionCosts(this.program, dims));
    return this.program.instructions.map((_, i) => ({
      flops: all.reduce((total, costs) => total + costs[i]!.flops, 0) / all.length,
      bytes: all.reduce((total, costs) => total + costs[i]!.bytes, 0) / all.length,
    }));
  }

  /** Seconds spent in each instruction so far. */
  get profile(): readonly number[] {
    return this.#executor.profile ?? [];
  }

  /** Runs steps, and gives the loss of the last one. */
  async run(steps: number): Promise<number> {
    let loss = Number.NaN;
    for (let i = 0; i < steps; i++) {
      const { inputs, dims } = this.ring[this.#step % this.ring.length]!;
      const scalars = {
        seed: Uint32Array.of(1),
        step: Uint32Array.of(this.#step),
        learning_rate: this.#learningRate,
      };
      loss = (await this.#executor.run({ ...inputs, ...scalars }, dims))["loss"]![0]!;
      this.#step++;
    }
    if (!Number.isFinite(loss)) throw new Error(`The loss is ${loss} after ${this.#step} steps`);
    return loss;
  }

  close(): void {
    this.#executor.close();
  }

  #mean(count: (batch: Batch) => number): number {
    return this.ring.reduce((total, batch) => total + count(batch), 0) / this.ring.length;
  }
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

const BLOCK_SECONDS = 0.05;

/** Whole training steps; a unit is a sample. */
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
