import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { multiplyHigh, philox, STREAMS } from "../random/philox.js";
import { checkWhole } from "./numerics.js";
import { checkIds, type Op, promise } from "./op.js";

/**
 * Draws items from a noise distribution, with replacement, by an alias table (Walker 1977; Vose 1991;
 * docs/math.md#draws). Draw d of sample s in a step uses two words of the Philox 4×32-10 block with counter (⌊d / 2⌋,
 * s, step, 0) and key (seed, 1): word 2(d mod 2) as w and word 2(d mod 2) + 1 as v.
 *
 *     c = ⌊w · items / 2³²⌋,  draw = v < threshold[c] ? c : alias[c].
 *
 * A draw depends only on these numbers, so executors may compute draws in any order. `target` only defines the number
 * of samples. With `shared`, all samples get the draws of sample 0.
 */
export const drawNegativesOp: Op = {
  name: "draw_negatives",
  inputs: {
    threshold: { dtype: "uint32", rank: 1 },
    alias: { dtype: "int32", rank: 1 },
    target: { dtype: "int32", rank: 1 },
    seed: { dtype: "uint32", rank: 0 },
    step: { dtype: "uint32", rank: 0 },
  },
  outputs: ["negatives"],
  attributes: { draws: 1, shared: false },
  shapes: (operands) => {
    operands.expectShape("alias", operands.input("threshold").shape);
    if (operands.input("threshold").shape[0] === 0) operands.fail("Expected at least one item");
    const draws = checkWhole(operands, "draws", 1);
    const samples = operands.input("target").shape[0]!;
    return { negatives: { dtype: "int32", shape: operands.attribute("shared") ? [draws] : [samples, draws] } };
  },
  check: (call) => {
    const items = call.input("threshold").rows;
    checkIds(call, "alias", items);
    promise(call, "negatives", 0, items - 1);
  },
  reference: (call) => {
    const [threshold, alias] = [call.input("threshold"), call.input("alias")];
    const [seed, step] = [call.input("seed").data[0]!, call.input("step").data[0]!];
    const negatives = call.output("negatives");
    const draws = call.attribute<number>("draws");
    const words = new Uint32Array(4);
    for (let i = 0; i < negatives.data.length; i++) {
      const [s, d] = [Math.floor(i / draws), i % draws];
      philox(words, Math.floor(d / 2), s, step, 0, seed, STREAMS.negatives);
      const [w, v] = [words[2 * (d % 2)]!, words[2 * (d % 2) + 1]!];
      const c = multiplyHigh(w, threshold.rows);
      negatives.data[i] = v < threshold.data[c]! ? c : alias.data[c]!;
    }
  },
  cost: (call) => {
    const { rows, columns } = call.output("negatives");
    return { flops: 0, bytes: 4 * 3 * rows * columns };
  },
};

/** Operands of `drawNegatives`. */
export interface DrawNegativesInputs {
  /** The thresholds of the alias table, uint32 [items]. */
  readonly threshold: Tensor;
  /** The aliases of the alias table, int32 [items]. */
  readonly alias: Tensor;
  /** The targets, int32 [samples]. Only their number is used. */
  readonly target: Tensor;
  /** The seed, a uint32 scalar. */
  readonly seed: Tensor;
  /** The number of steps before this one, a uint32 scalar. */
  readonly step: Tensor;
}

/** Options of `drawNegatives`. */
export interface DrawNegativesOptions {
  /** Number of draws for each sample, or for the whole batch with `shared`. */
  readonly draws: number;
  /** Draws once for the whole batch (default false). */
  readonly shared?: boolean;
}

const DRAW_NEGATIVES_OPTIONS: Readonly<Record<keyof DrawNegativesOptions, true>> = { draws: true, shared: true };

/**
 * Returns negatives drawn from a noise distribution with replacement: int32 [samples, draws], or [draws] if `shared`.
 */
export function drawNegatives(
  graph: Graph,
  name: string,
  inputs: DrawNegativesInputs,
  options: DrawNegativesOptions,
): Tensor {
  checkOptions("drawNegatives", options, DRAW_NEGATIVES_OPTIONS);
  const { draws, shared = false } = options;
  return graph.apply(drawNegativesOp, name, { ...inputs }, { draws, shared })["negatives"]!;
}
