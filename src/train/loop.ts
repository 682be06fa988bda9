import type { TrainingBatches } from "../data/batches.js";
import { ShortlistError } from "../errors.js";
import type { Executor, StepsResult } from "../executors/executor.js";
import type { ModelConfig } from "../model/config.js";
import { ProfileSums, type TrainingProfile } from "./profile.js";
import { learningRateAt } from "./schedule.js";

/** Progress of training, after each step. */
export interface TrainingState {
  /** The number of the pass, from 1. */
  readonly pass: number;
  /** The passes of the configuration. */
  readonly passes: number;
  /** The steps that were run. */
  readonly step: number;
  /** The steps of the whole training. */
  readonly steps: number;
  /** Mean loss per sample in this pass so far. */
  readonly loss: number;
  /** Speed since training began. */
  readonly samplesPerSecond: number;
  /** The seconds that the steps which are left will take at this speed. */
  readonly secondsLeft: number;
}

/**
 * What a pass did so far. `step`, `samples` and `seconds` count from the start of training, saving and evaluation left
 * out.
 */
export interface TrainedPass {
  /** The number of the pass, from 1. */
  readonly pass: number;
  /** Share of the pass that was run: 1 unless it was left before its end. */
  readonly part: number;
  /** The steps that were run. */
  readonly step: number;
  /** The samples that were trained on, each as often as it was. */
  readonly samples: number;
  /** The seconds in the training loop. */
  readonly seconds: number;
  /** Learning rate of the last step. */
  readonly learningRate: number;
  /** Mean loss per sample in this pass. */
  readonly loss: number;
  /** Speed in this pass. */
  readonly samplesPerSecond: number;
}

/** Where training stands, between two steps: plain data, all that the loop needs to go on. */
export interface TrainingPosition {
  /** Steps that were run. */
  readonly step: number;
  /** The pass of the next step, from 1. */
  readonly pass: number;
  /** The batch of the next step, from 0 in its pass. */
  readonly batch: number;
  /** Samples of the steps that were run. */
  readonly samples: number;
  /** Seconds that these steps took. */
  readonly seconds: number;
  /** Sums over the steps of the pass that has begun; zeros between two passes. */
  readonly passSums: PassSums;
}

/** Sums over the steps of a pass. */
export interface PassSums {
  /** Sum of the samples' losses. */
  readonly loss: number;
  /** Samples of these steps. */
  readonly samples: number;
  /** Seconds that these steps took. */
  readonly seconds: number;
}

const NO_SUMS: PassSums = { loss: 0, samples: 0, seconds: 0 };

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

/**
 * Target duration of one call of the engine: long enough to hide the call's overhead, short enough for smooth progress.
 */
const SECONDS_A_CALL = 0.03;

/** Runs the steps of training in order, and keeps count of them. */
export class TrainingLoop {
  readonly #executor: Executor;
  readonly #batches: TrainingBatches;
  readonly #options: TrainingLoopOptions;
  readonly #profile: ProfileSums | undefined;
  #step = 0;
  #samples = 0;
  #seconds = 0;
  #passSums = NO_SUMS;
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

  get position(): TrainingPosition {
    const { batchesPerPass } = this.#batches;
    return {
      step: this.#step,
      pass: Math.floor(this.#step / batchesPerPass) + 1,
      batch: this.#step % batchesPerPass,
      samples: this.#samples,
      seconds: this.#seconds,
      passSums: this.#passSums,
    };
  }

  /** Goes on from a position; ERR_OPTION where a pass of its training has another number of batches. */
  restore({ step, pass, batch, samples, seconds, passSums }: TrainingPosition): void {
    const { batchesPerPass } = this.#batches;
    if (step !== (pass - 1) * batchesPerPass + batch || batch >= batchesPerPass || step > this.#options.steps) {
      throw new ShortlistError(
        "ERR_OPTION",
        `Expected a position within ${this.#options.steps} steps, ${batchesPerPass} a pass, but received step ${step} as batch ${batch} of pass ${pass}`,
      );
    }
    this.#step = step;
    this.#samples = samples;
    this.#seconds = seconds;
    this.#passSums = { ...passSums };
  }

  /**
   * Runs `most` steps, or those that are left in this pass, or in training. ERR_DIVERGED where a loss is not finite.
   * What it resolves to tells of the whole pass, also where the pass takes several calls.
   */
  async run(most = Number.POSITIVE_INFINITY): Promise<TrainedPass> {
    const { batchesPerPass } = this.#batches;
    const pass = Math.floor(this.#step / batchesPerPass);
    const end = Math.min(this.#options.steps, (pass + 1) * batchesPerPass, this.#step + most);
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
      this.#addSteps(result, steps, secondsAStep);
      this.#stepsACall = Math.max(1, Math.round(SECONDS_A_CALL / secondsAStep));
    }
    const sums = this.#passSums;
    if (this.#step % batchesPerPass === 0) this.#passSums = NO_SUMS;
    return {
      pass: pass + 1,
      part: end / batchesPerPass - pass,
      step: this.#step,
      samples: this.#samples,
      seconds: this.#seconds,
      learningRate: this.#learningRateAt(this.#step - 1),
      loss: sums.loss / sums.samples,
      samplesPerSecond: sums.samples / sums.seconds,
    };
  }

  #scalars(first: number, count: number) {
    return {
      seed: Uint32Array.of(this.#options.seed),
      step: Uint32Array.from({ length: count }, (_, i) => first + i),
      learning_rate: Float32Array.from({ length: count }, (_, i) => this.#learningRateAt(first + i)),
    };
  }

  #addSteps(result: StepsResult, count: number, secondsAStep: number): void {
    const { config, steps, onProgress } = this.#options;
    for (let i = 0; i < count; i++) {
      const samples = result.dims["samples"]![i]!;
      const batchLoss = result.outputs["loss"]![i]!;
      if (!Number.isFinite(batchLoss)) {
        throw diverged(`The loss of step ${this.#step + 1} is ${batchLoss}`, config);
      }
      const sums = this.#passSums;
      this.#passSums = {
        loss: sums.loss + batchLoss * (config.reduction === "mean" ? samples : 1),
        samples: sums.samples + samples,
        seconds: sums.seconds + secondsAStep,
      };
      this.#samples += samples;
      this.#seconds += secondsAStep;
      this.#step++;
      onProgress?.({
        pass: Math.ceil(this.#step / this.#batches.batchesPerPass),
        passes: config.passes,
        step: this.#step,
        steps,
        loss: this.#passSums.loss / this.#passSums.samples,
        samplesPerSecond: this.#samples / this.#seconds,
        secondsLeft: (this.#seconds / this.#step) * (steps - this.#step),
      });
    }
  }

  #learningRateAt(step: number): number {
    return learningRateAt(step, this.#options.steps, this.#options.config);
  }
}

/** ERR_DIVERGED with the way out. */
export function diverged(problem: string, { learningRate }: ModelConfig): ShortlistError {
  return new ShortlistError(
    "ERR_DIVERGED",
    `${problem}. Lower learningRate (now ${learningRate}) or change the optimizer`,
  );
}
