import type { Graph, Tensor } from "../graph/graph.js";
import { checkIds, type Op, promise } from "./op.js";
import { checkRanges, RANGE_INPUTS, rangeSamples } from "./ranges.js";

/**
 * The maximum of each column over ranges of rows, and the row of that maximum:
 *
 *     output[s, c] = max input[r, c],  start[s] ≤ r < end[s];   index[s, c] = the first such r.
 *
 * For an empty range they are 0 and −1. Ranges may overlap, as prefixes of one sequence do.
 */
export const rangeMaxOp: Op = {
  name: "range_max",
  inputs: {
    input: { dtype: "float32", rank: 2 },
    ...RANGE_INPUTS,
  },
  outputs: ["output", "index"],
  attributes: {},
  shapes: (operands) => {
    const samples = rangeSamples(operands);
    const shape = [samples, operands.input("input").shape[1]!];
    return { output: { dtype: "float32", shape }, index: { dtype: "int32", shape } };
  },
  // d input[index[s, c], c] += d output[s, c].
  gradient: ({ graph, name, input, output, outputGradient }) => ({
    input: graph.apply(rangeMaxGradientOp, `${name}.input_gradient`, {
      output_gradient: outputGradient("output"),
      index: output("index"),
      input: input("input"),
    })["input_gradient"],
  }),
  check: (call) => {
    const { rows } = call.input("input");
    checkRanges(call, rows);
    promise(call, "index", -1, rows - 1);
  },
  reference: (call) => {
    const [input, output, index] = [call.input("input").data, call.output("output"), call.output("index")];
    const [start, end] = [call.input("start").data, call.input("end").data];
    const width = output.columns;
    for (let s = 0; s < output.rows; s++) {
      for (let c = 0; c < width; c++) {
        let best = -1;
        for (let r = start[s]!; r < end[s]!; r++) {
          if (best < 0 || input[r * width + c]! > input[best * width + c]!) best = r;
        }
        output.data[s * width + c] = best < 0 ? 0 : input[best * width + c]!;
        index.data[s * width + c] = best;
      }
    }
  },
  cost: (call) => {
    const [input, output] = [call.input("input"), call.output("output")];
    return {
      flops: input.rows * input.columns,
      bytes: 4 * (input.rows * input.columns + 2 * output.rows * output.columns),
    };
  },
};

/** input_gradient[index[s, c], c] = Σ output_gradient[s, c], summed in the order of samples. Index −1 adds nothing. */
export const rangeMaxGradientOp: Op = {
  name: "range_max_gradient",
  inputs: {
    output_gradient: { dtype: "float32", rank: 2 },
    index: { dtype: "int32", rank: 2 },
    input: { dtype: "float32", rank: 2 },
  },
  outputs: ["input_gradient"],
  attributes: {},
  shapes: (operands) => {
    operands.expectShape("index", operands.input("output_gradient").shape);
    const { shape } = operands.input("input");
    operands.expectShape("output_gradient", [operands.input("output_gradient").shape[0]!, shape[1]!]);
    return { input_gradient: { dtype: "float32", shape } };
  },
  check: (call) => checkIds(call, "index", call.input("input").rows, -1),
  reference: (call) => {
    const [outputGradient, index] = [call.input("output_gradient"), call.input("index").data];
    const gradient = call.output("input_gradient").data;
    const width = outputGradient.columns;
    const sum = new Float64Array(gradient.length);
    for (let i = 0; i < index.length; i++) {
      if (index[i]! >= 0) sum[index[i]! * width + (i % width)]! += outputGradient.data[i]!;
    }
    gradient.set(sum);
  },
  cost: (call) => {
    const [input, index] = [call.input("input"), call.input("index")];
    return {
      flops: index.rows * index.columns,
      bytes: 4 * (input.rows * input.columns + 2 * index.rows * index.columns),
    };
  },
};

/** Operands of `rangeMax`. */
export interface RangeMaxInputs {
  /** The rows [n, width]. */
  readonly input: Tensor;
  /** The first row of each sample's range, int32 [samples]. */
  readonly start: Tensor;
  /** The end of each sample's range, exclusive, int32 [samples]. */
  readonly end: Tensor;
}

/** Returns the maximum of each column over each sample's range of rows, [samples, width]; 0 for an empty range. */
export function rangeMax(graph: Graph, name: string, inputs: RangeMaxInputs): Tensor {
  return graph.apply(rangeMaxOp, name, { ...inputs })["output"]!;
}
