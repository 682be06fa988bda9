import { ShortlistError } from "../errors.js";
import type { ModelConfig } from "../model/config.js";
import type { EarlyStoppingState } from "./early_stopping.js";

/** The steps of a training, and those between which its learning rate falls. Plain data. */
export interface TrainingPlan {
  /** Number of epochs, of which the last may be cut short by `steps`. */
  readonly epochs: number;
  /** Number of steps of the whole training. */
  readonly steps: number;
  /** The learning rate falls from this step on, or from the end of the warm-up if that is later. */
  readonly fallStart: number;
  /** The step at which it has its final value, which it keeps. */
  readonly fallEnd: number;
}

/**
 * The learning rate of step `step`, from 0: it rises linearly over the first `warmupSteps` steps, is constant until
 * `fallStart`, and then falls along half a cosine to `finalLearningRate` times the full rate (Loshchilov & Hutter 2017).
 */
export function learningRateAt(
  step: number,
  { fallStart, fallEnd }: Pick<TrainingPlan, "fallStart" | "fallEnd">,
  {
    learningRate,
    warmupSteps,
    finalLearningRate,
  }: Pick<ModelConfig, "learningRate" | "warmupSteps" | "finalLearningRate">,
): number {
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const start = Math.max(fallStart, warmupSteps);
  const progress = step < start ? 0 : Math.min(1, (step - start) / Math.max(1, fallEnd - start));
  return learningRate * (finalLearningRate + (1 - finalLearningRate) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}

/**
 * Number of epochs over which the learning rate falls, or "auto": it is held until patience ends, and falls from the
 * best epoch on.
 */
export type TargetEpochs = number | "auto";

/** With "auto", the most epochs of a training whose configuration does not say how many. */
export const MOST_EPOCHS = 100;

/**
 * The number of epochs over which the learning rate falls after `held` epochs at the full rate: a quarter as many, so
 * that it falls in the last fifth of the training (Hägele et al. 2024, "Scaling Laws and Compute-Optimal Training Beyond
 * Fixed Training Durations", find 10 to 20 % enough).
 */
export function annealingEpochs(held: number): number {
  return Math.max(1, Math.round(held / 4));
}

/** The most epochs at the full rate, if those in which it falls are to end with epoch `epochs`. */
function mostHeldEpochs(epochs: number): number {
  let held = epochs - 1;
  while (held > 1 && held + annealingEpochs(held) > epochs) held--;
  return held;
}

/** What the plan of a training depends on. */
export interface PlanOptions {
  /** Number of epochs of the configuration. */
  readonly epochs: number;
  readonly batchesPerEpoch: number;
  /** Number of steps after which training ends. Undefined if its epochs decide. Not together with `targetEpochs` "auto". */
  readonly steps?: number | undefined;
  readonly targetEpochs?: TargetEpochs | undefined;
}

/** Throws ERR_OPTION unless the rate can be held for an epoch and fall in another. */
export function checkAutoEpochs(epochs: number): void {
  if (epochs >= 2) return;
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected at least 2 epochs with targetEpochs "auto", one at the full learning rate and one in which it falls, but received ${epochs}`,
  );
}

/** The plan of a training whose number of epochs is known: all but those with `targetEpochs` "auto". */
export function fixedPlan({ epochs, batchesPerEpoch, steps, targetEpochs }: PlanOptions): TrainingPlan {
  const all = Math.min(steps ?? Number.POSITIVE_INFINITY, epochs * batchesPerEpoch);
  const fallEnd = typeof targetEpochs === "number" ? targetEpochs * batchesPerEpoch : all;
  return { epochs, steps: all, fallStart: 0, fallEnd };
}

/**
 * The plan while the learning rate is held: to the epoch after which patience ends unless a better one comes, which
 * prolongs it.
 */
export function holdingPlan(
  { epochs, batchesPerEpoch }: PlanOptions,
  { bestEpoch }: EarlyStoppingState,
  patience: number,
): TrainingPlan {
  const last = Math.min(mostHeldEpochs(epochs), patience === 0 ? Number.POSITIVE_INFINITY : bestEpoch + patience);
  const never = Number.POSITIVE_INFINITY;
  return { epochs: last, steps: last * batchesPerEpoch, fallStart: never, fallEnd: never };
}

/** The plan in which the learning rate falls after the epoch `held`. */
export function annealingPlan({ batchesPerEpoch }: PlanOptions, held: number): TrainingPlan {
  const epochs = held + annealingEpochs(held);
  const steps = epochs * batchesPerEpoch;
  return { epochs, steps, fallStart: held * batchesPerEpoch, fallEnd: steps };
}
