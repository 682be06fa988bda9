import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { philox, STREAMS } from "../random/philox.js";
import { checkRate, keepAbove } from "./numerics.js";
import type { Op } from "./op.js";

/**
 * Dropout (Srivastava et al. 2014; docs/math.md#dropout): sets an element to 0 with probability `rate`, or else divides
 * it by 1 − rate. With B = ⌈columns / 4⌉, element (r, c) uses word ⌊c / B⌋ of the Philox 4×32-10 block with counter (c
 * mod B, r, step, site) and key (seed, 5), and is kept if that word is at least rate · 2³². `site` distinguishes the
 * dropouts of one step. The op is linear, so its gradient is the same op with the same random numbers.
 */
export const dropoutOp: Op = {
  name: "dropout",
  inputs: {
    input: { dtype: "float32", rank: 2 },
    seed: { dtype: "uint32", rank: 0 },
    step: { dtype: "uint32", rank: 0 },
  },
  outputs: ["output"],
  attributes: { rate: 0, site: 0 },
  shapes: (operands) => {
    checkRate(operands);
    return { output: { dtype: "float32", shape: operands.input("input").shape } };
  },
  gradient: ({ graph, name, attributes, input, outputGradient }) => ({
    input: graph.apply(
      dropoutOp,
      `${name}.input_gradient`,
      { input: outputGradient("output"), seed: input("seed"), step: input("step") },
      { rate: attributes["rate"]!, site: attributes["site"]! },
    )["output"],
  }),
  reference: (call) => {
    const [input, output] = [call.input("input").data, call.output("output")];
    const [seed, step] = [call.input("seed").data[0]!, call.input("step").data[0]!];
    const [rate, site] = [call.attribute<number>("rate"), call.attribute<number>("site")];
    const { rows, columns } = output;
    const blocks = Math.ceil(columns / 4);
    const words = new Uint32Array(4);
    for (let r = 0; r < rows; r++) {
      for (let block = 0; block < blocks; block++) {
        philox(words, block, r, step, site, seed, STREAMS.dropout);
        for (let word = 0; word < 4 && word * blocks + block < columns; word++) {
          const at = r * columns + word * blocks + block;
          output.data[at] = words[word]! >= keepAbove(rate) ? input[at]! / (1 - rate) : 0;
        }
      }
    }
  },
  cost: (call) => {
    const { rows, columns } = call.output("output");
    return { flops: rows * columns, bytes: 8 * rows * columns };
  },
};

/** Operands of `dropout`. */
export interface DropoutInputs {
  /** The matrix [rows, columns]. */
  readonly input: Tensor;
  /** The seed, a uint32 scalar. */
  readonly seed: Tensor;
  /** The number of steps before this one, a uint32 scalar. */
  readonly step: Tensor;
}

/** Options of `dropout`. */
export interface DropoutOptions {
  /** Probability with which an element becomes 0, below 1. */
  readonly rate: number;
  /** A number that differs between all dropouts of a Program. */
  readonly site: number;
}

const DROPOUT_OPTIONS: Readonly<Record<keyof DropoutOptions, true>> = { rate: true, site: true };

/**
 * Returns the input [rows, columns] with some elements set to 0 and the others scaled up, so that the expected value of
 * each element is unchanged.
 */
export function dropout(graph: Graph, name: string, inputs: DropoutInputs, options: DropoutOptions): Tensor {
  checkOptions("dropout", options, DROPOUT_OPTIONS);
  return graph.apply(dropoutOp, name, { ...inputs }, { ...options })["output"]!;
}
