import type { TrainingBatches } from "../data/batches.js";
import { ShortlistError } from "../errors.js";
import type { Executor, StepsResult } from "../executors/executor.js";
import type { ModelConfig } from "../model/config.js";
import { ProfileSums, type TrainingProfile } from "./profile.js";
import { learningRateAt } from "./schedule.js";
import type { NextStep } from "./trace_step.js";

/** Progress of training after a step. */
export interface TrainingState {
  /** Number of the epoch, from 1. */
  readonly epoch: number;
  /** Number of epochs of the configuration. */
  readonly epochs: number;
  /** Number of steps that were run. */
  readonly step: number;
  /** Number of steps of the whole training. */
  readonly steps: number;
  /** Mean loss per sample in this epoch so far. */
  readonly loss: number;
  /** Mean loss per sample of this step. */
  readonly stepLoss: number;
  /** Number of samples of this step. */
  readonly stepSamples: number;
  /** Learning rate of this step. */
  readonly learningRate: number;
  /** Number of samples over all steps so far. */
  readonly samples: number;
  /** Seconds spent in training steps so far. */
  readonly seconds: number;
  /** Seconds of this step that were spent waiting for its batch. */
  readonly secondsWaited: number;
  /** Samples per second since training began. */
  readonly samplesPerSecond: number;
  /** Seconds that the remaining steps will take at the mean speed so far. */
  readonly secondsLeft: number;
}

/**
 * Result of an epoch so far. `step`, `samples` and `seconds` count from the start of training, without saving and
 * evaluation.
 */
export interface TrainedEpoch {
  /** Number of the epoch, from 1. */
  readonly epoch: number;
  /** Fraction of the epoch that was run: 1 at its end. */
  readonly part: number;
  /** Number of steps that were run. */
  readonly step: number;
  /** Number of samples over all steps. A sample counts once for each epoch. */
  readonly samples: number;
  /** Seconds spent in training steps. */
  readonly seconds: number;
  /** Learning rate of the last step. */
  readonly learningRate: number;
  /** Mean loss per sample in this epoch. */
  readonly loss: number;
  /** Samples per second in this epoch. */
  readonly samplesPerSecond: number;
}

/** How far training has come, between two steps. Plain data, and all that the loop needs to continue. */
export interface TrainingPosition {
  /** Number of steps that were run. */
  readonly step: number;
  /** Epoch of the next step, from 1. */
  readonly epoch: number;
  /** Batch of the next step, from 0 within its epoch. */
  readonly batch: number;
  /** Number of samples of the steps that were run. */
  readonly samples: number;
  /** Seconds that these steps took. */
  readonly seconds: number;
  /** Sums over the steps of the current epoch so far; zeros between two epochs. */
  readonly epochSums: EpochSums;
}

/** Sums over steps of one epoch. */
export interface EpochSums {
  /** Sum of the losses of all samples. */
  readonly loss: number;
  /** Number of samples. */
  readonly samples: number;
  /** Seconds that the steps took. */
  readonly seconds: number;
}

const NO_SUMS: EpochSums = { loss: 0, samples: 0, seconds: 0 };

/** Options of `TrainingLoop`. */
export interface TrainingLoopOptions {
  readonly config: ModelConfig;
  readonly seed: number;
  /** Number of steps of the whole training. */
  readonly steps: number;
  /** Number of steps over which the learning rate falls. */
  readonly fallSteps: number;
  /**
   * Numbers of steps and epochs of the trainings from which this one goes on (default 0). They follow one another in
   * random numbers, in the order of batches and in the optimizer, but not in the learning-rate schedule.
   */
  readonly before?: { readonly step: number; readonly epoch: number } | undefined;
  /** Adds up the cost of every instruction (default false). The executor must measure their time. */
  readonly profile?: boolean | undefined;
  /** Stops training between two engine calls; `run` rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called once for each step. Steps run several at a time, so calls come in bursts. */
  readonly onProgress?: ((state: TrainingState) => void) | undefined;
}

/**
 * Target duration of one call of the engine: long enough to hide the call's overhead, short enough for smooth progress.
 */
const SECONDS_PER_CALL = 0.03;

/** Runs the training steps in order and keeps their counts. */
export class TrainingLoop {
  readonly #executor: Executor;
  readonly #batches: TrainingBatches;
  readonly #options: TrainingLoopOptions;
  readonly #profile: ProfileSums | undefined;
  #step = 0;
  #samples = 0;
  #seconds = 0;
  #epochSums = NO_SUMS;
  #stepsPerCall = 1;
  #hasDiverged = false;

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

  /** The time profile of the steps so far. Undefined without the option `profile`. */
  get profile(): TrainingProfile | undefined {
    return this.#profile?.take(this.#seconds, this.#executor.profile!);
  }

  get position(): TrainingPosition {
    const { batchesPerEpoch } = this.#batches;
    return {
      step: this.#step,
      epoch: Math.floor(this.#step / batchesPerEpoch) + 1,
      batch: this.#step % batchesPerEpoch,
      samples: this.#samples,
      seconds: this.#seconds,
      epochSums: this.#epochSums,
    };
  }

  /**
   * Continues from a position. Throws ERR_OPTION if the position is not one of this training, for example because its
   * epochs have another number of batches.
   */
  restore({ step, epoch, batch, samples, seconds, epochSums }: TrainingPosition): void {
    const { batchesPerEpoch } = this.#batches;
    if (step !== (epoch - 1) * batchesPerEpoch + batch || batch >= batchesPerEpoch || step > this.#options.steps) {
      throw new ShortlistError(
        "ERR_OPTION",
        `Expected a position within ${this.#options.steps} steps, ${batchesPerEpoch} an epoch, but received step ${step} as batch ${batch} of epoch ${epoch}`,
      );
    }
    this.#step = step;
    this.#samples = samples;
    this.#seconds = seconds;
    this.#epochSums = { ...epochSums };
  }

  /**
   * Runs up to `most` steps, but not beyond the current epoch or the end of training. With `isDue`, it ends after the
   * first call of the engine after which that returns true, and the signal does not stop it. The result describes the current
   * epoch from its first step, also when the epoch takes several calls. Throws ERR_DIVERGED if a loss is not finite.
   */
  async run(most = Number.POSITIVE_INFINITY, isDue?: () => boolean): Promise<TrainedEpoch> {
    const { batchesPerEpoch } = this.#batches;
    const epoch = Math.floor(this.#step / batchesPerEpoch);
    const end = Math.min(this.#options.steps, (epoch + 1) * batchesPerEpoch, this.#step + most);
    const { before } = this.#options;
    let started = performance.now();
    while (this.#step < end) {
      if (!isDue) this.#options.signal?.throwIfAborted();
      const steps = Math.min(this.#stepsPerCall, end - this.#step);
      const scalars = this.#scalars(this.#step, steps);
      const index = this.#step % batchesPerEpoch;
      const position = { epoch: (before?.epoch ?? 0) + epoch, index };
      const result = await this.#executor.runSteps(this.#batches, { ...position, steps, scalars });
      this.#profile?.add(result, steps);
      const now = performance.now();
      const secondsPerStep = (now - started) / 1000 / steps;
      started = now;
      this.#addSteps(result, steps, secondsPerStep);
      this.#stepsPerCall = Math.max(1, Math.round(SECONDS_PER_CALL / secondsPerStep));
      if (isDue?.()) break;
    }
    const sums = this.#epochSums;
    if (this.#step % batchesPerEpoch === 0) this.#epochSums = NO_SUMS;
    return {
      epoch: epoch + 1,
      part: this.#step / batchesPerEpoch - epoch,
      step: this.#step,
      samples: this.#samples,
      seconds: this.#seconds,
      learningRate: this.#learningRateAt(this.#step - 1),
      loss: sums.loss / sums.samples,
      samplesPerSecond: sums.samples / sums.seconds,
    };
  }

  /** Whether the loss of the next step is known not to be finite. */
  get hasDiverged(): boolean {
    return this.#hasDiverged;
  }

  /** The batch and the other inputs of the next step. */
  get nextStep(): Pick<NextStep, "batch" | "scalars"> {
    const { batchesPerEpoch } = this.#batches;
    const [epoch, index] = [Math.floor(this.#step / batchesPerEpoch), this.#step % batchesPerEpoch];
    const before = this.#options.before?.epoch ?? 0;
    return { batch: this.#batches.batch(before + epoch, index), scalars: this.#scalars(this.#step, 1) };
  }

  #scalars(first: number, count: number) {
    const before = this.#options.before?.step ?? 0;
    return {
      seed: Uint32Array.of(this.#options.seed),
      step: Uint32Array.from({ length: count }, (_, i) => before + first + i),
      learning_rate: Float32Array.from({ length: count }, (_, i) => this.#learningRateAt(first + i)),
    };
  }

  #addSteps(result: StepsResult, count: number, secondsPerStep: number): void {
    const { config, steps, onProgress } = this.#options;
    const secondsWaited = result.secondsWaited / count;
    for (let i = 0; i < count; i++) {
      const samples = result.dims["samples"]![i]!;
      const batchLoss = result.outputs["loss"]![i]!;
      if (!Number.isFinite(batchLoss)) {
        this.#hasDiverged = true;
        throw diverged(`The loss of step ${this.#step + 1} is ${batchLoss}`, config);
      }
      const sums = this.#epochSums;
      const loss = batchLoss * (config.reduction === "mean" ? samples : 1);
      this.#epochSums = {
        loss: sums.loss + loss,
        samples: sums.samples + samples,
        seconds: sums.seconds + secondsPerStep,
      };
      this.#samples += samples;
      this.#seconds += secondsPerStep;
      this.#step++;
      onProgress?.({
        epoch: Math.ceil(this.#step / this.#batches.batchesPerEpoch),
        epochs: config.epochs,
        step: this.#step,
        steps,
        loss: this.#epochSums.loss / this.#epochSums.samples,
        stepLoss: loss / samples,
        stepSamples: samples,
        learningRate: this.#learningRateAt(this.#step - 1),
        samples: this.#samples,
        seconds: this.#seconds,
        secondsWaited,
        samplesPerSecond: this.#samples / this.#seconds,
        secondsLeft: (this.#seconds / this.#step) * (steps - this.#step),
      });
    }
  }

  #learningRateAt(step: number): number {
    return learningRateAt(step, this.#options.fallSteps, this.#options.config);
  }
}

/** Returns ERR_DIVERGED with advice on what to change. */
export function diverged(problem: string, { learningRate }: ModelConfig): ShortlistError {
  return new ShortlistError(
    "ERR_DIVERGED",
    `${problem}. Lower learningRate (now ${learningRate}) or change the optimizer`,
  );
}
