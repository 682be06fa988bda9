import type { Graph, Tensor } from "../graph/graph.js";
import type { Op } from "./op.js";

/** output = left · right, elementwise, of one shape. It weights the losses of samples. */
export const multiplyOp: Op = {
  name: "multiply",
  inputs: { left: { dtype: "float32" }, right: { dtype: "float32" } },
  outputs: ["output"],
  attributes: {},
  shapes: (operands) => {
    const { shape } = operands.input("left");
    operands.expectShape("right", shape);
    return { output: { dtype: "float32", shape } };
  },
  // d left = d output · right, d right = d output · left.
  gradient: ({ graph, name, input, outputGradient, needed }) => {
    const gradient = (slot: "left" | "right", other: "left" | "right") =>
      needed(slot) ? multiply(graph, `${name}.${slot}_gradient`, outputGradient("output"), input(other)) : undefined;
    return { left: gradient("left", "right"), right: gradient("right", "left") };
  },
  reference: (call) => {
    const [left, right, output] = [call.input("left").data, call.input("right").data, call.output("output").data];
    for (let i = 0; i < output.length; i++) output[i] = left[i]! * right[i]!;
  },
  cost: (call) => {
    const { rows, columns } = call.output("output");
    return { flops: rows * columns, bytes: 12 * rows * columns };
  },
};

/** Returns left · right, elementwise. */
export function multiply(graph: Graph, name: string, left: Tensor, right: Tensor): Tensor {
  return graph.apply(multiplyOp, name, { left, right })["output"]!;
}
