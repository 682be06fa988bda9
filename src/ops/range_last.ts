import type { Graph, Tensor } from "../graph/graph.js";
import type { Op } from "./op.js";
import { checkRanges, RANGE_INPUTS, rangeSamples } from "./ranges.js";

/** The last row of each range: output[s] = input[end[s] − 1]; 0 for an empty range. Ranges may overlap. */
export const rangeLastOp: Op = {
  name: "range_last",
  inputs: {
    input: { dtype: "float32", rank: 2 },
    ...RANGE_INPUTS,
  },
  outputs: ["output"],
  attributes: {},
  shapes: (operands) => {
    const samples = rangeSamples(operands);
    return { output: { dtype: "float32", shape: [samples, operands.input("input").shape[1]!] } };
  },
  // d input[end[s] − 1] += d output[s].
  gradient: ({ graph, name, input, outputGradient }) => ({
    input: graph.apply(rangeLastGradientOp, `${name}.input_gradient`, {
      output_gradient: outputGradient("output"),
      start: input("start"),
      end: input("end"),
      input: input("input"),
    })["input_gradient"],
  }),
  check: (call) => checkRanges(call, call.input("input").rows),
  reference: (call) => {
    const [input, output] = [call.input("input").data, call.output("output")];
    const [start, end] = [call.input("start").data, call.input("end").data];
    const width = output.columns;
    for (let s = 0; s < output.rows; s++) {
      const from = (end[s]! - 1) * width;
      for (let c = 0; c < width; c++) output.data[s * width + c] = end[s]! > start[s]! ? input[from + c]! : 0;
    }
  },
  cost: (call) => {
    const output = call.output("output");
    return { flops: 0, bytes: 8 * output.rows * output.columns };
  },
};

/** input_gradient[end[s] − 1] = Σ output_gradient[s], summed in the order of samples. Empty ranges add nothing. */
export const rangeLastGradientOp: Op = {
  name: "range_last_gradient",
  inputs: {
    output_gradient: { dtype: "float32", rank: 2 },
    ...RANGE_INPUTS,
    input: { dtype: "float32", rank: 2 },
  },
  outputs: ["input_gradient"],
  attributes: {},
  shapes: (operands) => {
    const { shape } = operands.input("input");
    const samples = rangeSamples(operands);
    operands.expectShape("output_gradient", [samples, shape[1]!]);
    return { input_gradient: { dtype: "float32", shape } };
  },
  check: (call) => checkRanges(call, call.input("input").rows),
  reference: (call) => {
    const outputGradient = call.input("output_gradient");
    const [start, end] = [call.input("start").data, call.input("end").data];
    const gradient = call.output("input_gradient").data;
    const width = outputGradient.columns;
    const sum = new Float64Array(gradient.length);
    for (let s = 0; s < outputGradient.rows; s++) {
      if (end[s] === start[s]) continue;
      for (let c = 0; c < width; c++) sum[(end[s]! - 1) * width + c]! += outputGradient.data[s * width + c]!;
    }
    gradient.set(sum);
  },
  cost: (call) => {
    const [input, gradient] = [call.input("input"), call.input("output_gradient")];
    return {
      flops: gradient.rows * gradient.columns,
      bytes: 4 * (input.rows * input.columns + gradient.rows * gradient.columns),
    };
  },
};

/** Operands of `rangeLast`. */
export interface RangeLastInputs {
  /** The rows [n, width]. */
  readonly input: Tensor;
  /** The first row of each sample's range, int32 [samples]. */
  readonly start: Tensor;
  /** The end of each sample's range, exclusive, int32 [samples]. */
  readonly end: Tensor;
}

/** Returns the last row of each sample's range, [samples, width]; 0 for an empty range. */
export function rangeLast(graph: Graph, name: string, inputs: RangeLastInputs): Tensor {
  return graph.apply(rangeLastOp, name, { ...inputs })["output"]!;
}
