/** The weights of all clicks. Training multiplies the loss of each sample by the weight of its target. */
export interface ClickWeights {
  /** Name of the field. */
  readonly name: string;
  /** [clicks] The weight of each click as in the log, from 0 on; 1 if missing. */
  readonly values: Float32Array;
  /** Mean of all weights. Training divides by it, so that only their ratios matter. */
  readonly mean: number;
}

/** Returns weights with their mean. */
export function clickWeights(name: string, values: Float32Array): ClickWeights {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return { name, values, mean: values.length > 0 ? sum / values.length : 0 };
}
