import { type RandomValues, randomValues } from "../../src/random/initial_values.js";
import { RandomStream } from "../../src/random/philox.js";

/**
 * How an operand's numbers are made. A case is written down as fills instead of numbers, and test/native/case_corpus.h
 * makes the same bits of them: no function of the language's library takes part, and no sum of products that a compiler
 * could fuse.
 */
export type Fill =
  /** Float32, normal with mean 0 and standard deviation `scale`. */
  | (RandomValues & { readonly kind: "normal" })
  /** Float32, uniform in [−scale, scale), to which `centre` is added once rounded. */
  | (RandomValues & { readonly kind: "uniform"; readonly centre: number })
  /** Of any dtype: `unit` times a whole number of `first` … `limit` − 1. */
  | {
      readonly kind: "whole";
      readonly first: number;
      readonly limit: number;
      readonly unit: number;
      readonly seed: number;
      /** Tells tensors of the same seed apart. */
      readonly tensor: number;
    };

/** The second key word of the cases' random numbers; `src/random` uses the small ones. */
export const CASE_STREAM = 1000;

/** Writes the numbers of a fill to `values`. */
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
