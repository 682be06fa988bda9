import type { Graph, Tensor } from "../graph/graph.js";
import type { Op } from "./op.js";

/** The sum of all elements; 0 without elements. */
export const sumOp: Op = {
  name: "sum",
  inputs: { input: { dtype: "float32" } },
  outputs: ["output"],
  attributes: {},
  shapes: () => ({ output: { dtype: "float32", shape: [] } }),
  // d input[i] = d output.
  gradient: ({ graph, name, input, outputGradient }) => ({
    input: graph.apply(sumGradientOp, `${name}.input_gradient`, {
      output_gradient: outputGradient("output"),
      input: input("input"),
    })["input_gradient"],
  }),
  reference: (call) => {
    const { data } = call.input("input");
    let total = 0;
    for (let i = 0; i < data.length; i++) total += data[i]!;
    call.output("output").data[0] = total;
  },
  cost: (call) => {
    const { rows, columns } = call.input("input");
    return { flops: rows * columns, bytes: 4 * rows * columns };
  },
};

/** Sets every element to output_gradient. */
export const sumGradientOp: Op = {
  name: "sum_gradient",
  inputs: { output_gradient: { dtype: "float32", rank: 0 }, input: { dtype: "float32" } },
  outputs: ["input_gradient"],
  attributes: {},
  shapes: (operands) => ({ input_gradient: { dtype: "float32", shape: operands.input("input").shape } }),
  reference: (call) => {
    const { data } = call.output("input_gradient");
    data.fill(call.input("output_gradient").data[0]!);
  },
  cost: (call) => {
    const { rows, columns } = call.output("input_gradient");
    return { flops: 0, bytes: 4 * rows * columns };
  },
};

/** Returns the sum of all elements, a scalar; 0 without elements. */
export function sum(graph: Graph, name: string, input: Tensor): Tensor {
  return graph.apply(sumOp, name, { input })["output"]!;
}
