import type { ModelConfig } from "../model/config.js";

/**
 * The learning rate of step `step` (from 0) of `steps`: it rises linearly over the first `warmupSteps` steps, then
 * falls along half a cosine to `finalLearningRate` times the full rate (Loshchilov & Hutter 2017).
 */
export function learningRateAt(
  step: number,
  steps: number,
  {
    learningRate,
    warmupSteps,
    finalLearningRate,
  }: Pick<ModelConfig, "learningRate" | "warmupSteps" | "finalLearningRate">,
): number {
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const progress = (step - warmupSteps) / Math.max(1, steps - warmupSteps);
  return learningRate * (finalLearningRate + (1 - finalLearningRate) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
