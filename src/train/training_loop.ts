import type { TrainingBatches } from "../data/batches.js";
import { ShortlistError } from "../errors.js";
import type { Executor, StepsResult } from "../executors/executor.js";
import type { ModelConfig } from "../model/config.js";
import { ProfileSums, type TrainingProfile } from "./profile.js";

/** Where training stands. */
export interface TrainingState {
  /** From 1. */
  readonly pass: number;
  readonly passes: number;
  readonly step: number;
  readonly steps: number;
  /** Of a sample, averaged over this pass so far. */
  readonly loss: number;
  readonly samplesPerSecond: number;
  readonly secondsLeft: number;
}

/** What a pass did. `step`, `samples` and `seconds` count from the start of training, saving and evaluation left out. */
export interface TrainedPass {
  /** From 1. */
  readonly pass: number;
  /** How much of the pass was run: 1 unless `steps` cuts it short. */
  readonly part: number;
  readonly step: number;
  readonly samples: number;
  readonly seconds: number;
  /** Of the pass's last step. */
  readonly learningRate: number;
  /** Of a sample, averaged over this pass. */
  readonly loss: number;
  /** Of this pass. */
  readonly samplesPerSecond: number;
}

export interface TrainingLoopOptions {
  readonly config: ModelConfig;
  readonly seed: number;
  /** Steps to run in all; the learning rate falls over so many. */
  readonly steps: number;
  /** Sum up what instructions cost (default false); the executor must time them. */
  readonly profile?: boolean | undefined;
  /** Stops between calls of the engine with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called for every step, some steps at a time. */
  readonly onProgress?: ((state: TrainingState) => void) | undefined;
}

/** A call of the engine runs as many steps as last so long: its own cost is nothing then, and progress is still smooth. */
const SECONDS_A_CALL = 0.03;

/** Runs the steps of training, pass by pass. */
export class TrainingLoop {
  readonly #executor: Executor;
  readonly #batches: TrainingBatches;
  readonly #options: TrainingLoopOptions;
  readonly #profile: ProfileSums | undefined;
  #step = 0;
  #samples = 0;
  #seconds = 0;
  #stepsACall = 1;

  constructor(executor: Executor, batches: TrainingBatches, options: TrainingLoopOptions) {
    this.#executor = executor;
    this.#batches = batches;
    this.#options = options;
    this.#profile = options.profile ? new ProfileSums(executor.program) : undefined;
  }

  /** Whether all steps were run. */
  get done(): boolean {
    return this.#step >= this.#options.steps;
  }

  /** Where the time of the steps so far went; undefined unless asked for. */
  get profile(): TrainingProfile | undefined {
    return this.#profile?.take(this.#seconds, this.#executor.profile!);
  }

  /** Runs the steps of the next pass, or those of them that there are; ERR_DIVERGED where a loss is not finite. */
  async runPass(): Promise<TrainedPass> {
    const { batchesPerPass } = this.#batches;
    const pass = Math.floor(this.#step / batchesPerPass);
    const end = Math.min(this.#options.steps, (pass + 1) * batchesPerPass);
    const [samplesBefore, secondsBefore] = [this.#samples, this.#seconds];
    const loss = new MeanLoss();
    let started = performance.now();
    while (this.#step < end) {
      this.#options.signal?.throwIfAborted();
      const steps = Math.min(this.#stepsACall, end - this.#step);
      const scalars = this.#scalars(this.#step, steps);
      const index = this.#step % batchesPerPass;
      const result = await this.#executor.runSteps(this.#batches, { pass, index, steps, scalars });
      this.#profile?.add(result, steps);
      const now = performance.now();
      const secondsAStep = (now - started) / 1000 / steps;
      started = now;
      this.#addSteps(result, steps, secondsAStep, loss);
      this.#stepsACall = Math.max(1, Math.round(SECONDS_A_CALL / secondsAStep));
    }
    return {
      pass: pass + 1,
      part: end / batchesPerPass - pass,
      step: this.#step,
      samples: this.#samples,
      seconds: this.#seconds,
      learningRate: this.#learningRateAt(this.#step - 1),
      loss: loss.value,
      samplesPerSecond: (this.#samples - samplesBefore) / (this.#seconds - secondsBefore),
    };
  }

  #scalars(first: number, count: number) {
    return {
      seed: Uint32Array.of(this.#options.seed),
      step: Uint32Array.from({ length: count }, (_, i) => first + i),
      learning_rate: Float32Array.from({ length: count }, (_, i) => this.#learningRateAt(first + i)),
    };
  }

  #addSteps(result: StepsResult, count: number, secondsAStep: number, loss: MeanLoss): void {
    const { config, steps, onProgress } = this.#options;
    for (let i = 0; i < count; i++) {
      const samples = result.dims["samples"]![i]!;
      const batchLoss = result.outputs["loss"]![i]!;
      if (!Number.isFinite(batchLoss)) {
        throw diverged(`The loss of step ${this.#step + 1} is ${batchLoss}`, config);
      }
      loss.add(batchLoss * (config.reduction === "mean" ? samples : 1), samples);
      this.#samples += samples;
      this.#seconds += secondsAStep;
      this.#step++;
      onProgress?.({
        pass: Math.ceil(this.#step / this.#batches.batchesPerPass),
        passes: config.passes,
        step: this.#step,
        steps,
        loss: loss.value,
        samplesPerSecond: this.#samples / this.#seconds,
        secondsLeft: (this.#seconds / this.#step) * (steps - this.#step),
      });
    }
  }

  /** A linear rise, then half a cosine. */
  #learningRateAt(step: number): number {
    const { learningRate, warmupSteps, finalLearningRate } = this.#options.config;
    if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
    const progress = (step - warmupSteps) / Math.max(1, this.#options.steps - warmupSteps);
    return learningRate * (finalLearningRate + (1 - finalLearningRate) * 0.5 * (1 + Math.cos(Math.PI * progress)));
  }
}

/** ERR_DIVERGED with the way out. */
export function diverged(problem: string, { learningRate }: ModelConfig): ShortlistError {
  return new ShortlistError(
    "ERR_DIVERGED",
    `${problem}. Lower learningRate (now ${learningRate}) or change the optimizer`,
  );
}

/** Mean of the samples' losses. */
class MeanLoss {
  #sum = 0;
  #samples = 0;

  add(sum: number, samples: number): void {
    this.#sum += sum;
    this.#samples += samples;
  }

  get value(): number {
    return this.#sum / this.#samples;
  }
}
