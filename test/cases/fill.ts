import { type RandomValues, randomValues } from "../../src/random/initial_values.js";
import { RandomStream } from "../../src/random/philox.js";

/**
 * How the numbers of an operand are generated. Files of cases contain fills instead of numbers, and
 * test/native/case_corpus.h generates the same bits from them. So fills use no function of a language's library, and no
 * sum of products that a compiler could fuse.
 */
export type Fill =
  /** Float32 numbers, normally distributed with mean 0 and standard deviation `scale`. */
  | (RandomValues & { readonly kind: "normal" })
  /** Float32 numbers, uniform in [−scale, scale), rounded to float32, plus `centre`. */
  | (RandomValues & { readonly kind: "uniform"; readonly centre: number })
  /** Numbers of any dtype: `unit` times a whole number from `first` to `limit` − 1. */
  | {
      readonly kind: "whole";
      readonly first: number;
      readonly limit: number;
      readonly unit: number;
      readonly seed: number;
      /** Number of the tensor. Tensors with the same seed but different numbers get different values. */
      readonly tensor: number;
    };

/** The second key word of the cases' random numbers; `src/random` uses the small ones. */
export const CASE_STREAM = 1000;

/** Fills `values` with the numbers of a fill. */
export function fillValues(fill: Fill, values: Float32Array | Int32Array | Uint32Array): void {
  if (fill.kind === "whole") {
    const { first, limit, unit, seed, tensor } = fill;
    const random = new RandomStream(seed, CASE_STREAM, [0, tensor, 0]);
    for (let i = 0; i < values.length; i++) values[i] = unit * (first + random.below(limit - first));
    return;
  }
  if (!(values instanceof Float32Array)) throw new Error(`Expected floats for ${fill.kind} numbers`);
  randomValues(fill, values);
  if (fill.kind === "uniform") for (let i = 0; i < values.length; i++) values[i]! += fill.centre;
}
