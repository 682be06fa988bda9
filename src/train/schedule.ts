import type { ModelConfig } from "../model/config.js";

/**
 * The learning rate of step `step` (from 0): it rises linearly over the first `warmupSteps` steps, then falls along half a
 * cosine to `finalLearningRate` times the full rate (Loshchilov & Hutter 2017), which it has from step `fallSteps` on.
 */
export function learningRateAt(
  step: number,
  fallSteps: number,
  {
    learningRate,
    warmupSteps,
    finalLearningRate,
  }: Pick<ModelConfig, "learningRate" | "warmupSteps" | "finalLearningRate">,
): number {
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, fallSteps - warmupSteps));
  return learningRate * (finalLearningRate + (1 - finalLearningRate) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
