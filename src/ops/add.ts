import type { Graph, Tensor } from "../graph/graph.js";
import type { Op } from "./op.js";

/** output = left + right, of one shape. It adds the gradients of a tensor that several ops read. */
export const addOp: Op = {
  name: "add",
  inputs: { left: { dtype: "float32" }, right: { dtype: "float32" } },
  outputs: ["output"],
  attributes: {},
  shapes: (operands) => {
    const { shape } = operands.input("left");
    operands.expectShape("right", shape);
    return { output: { dtype: "float32", shape } };
  },
  // d left = d right = d output.
  gradient: ({ outputGradient }) => ({ left: outputGradient("output"), right: outputGradient("output") }),
  reference: (call) => {
    const [left, right, output] = [call.input("left").data, call.input("right").data, call.output("output").data];
    for (let i = 0; i < output.length; i++) output[i] = left[i]! + right[i]!;
  },
  cost: (call) => {
    const { rows, columns } = call.output("output");
    return { flops: rows * columns, bytes: 12 * rows * columns };
  },
};

/** Returns left + right. */
export function add(graph: Graph, name: string, left: Tensor, right: Tensor): Tensor {
  return graph.apply(addOp, name, { left, right })["output"]!;
}
