import type { Graph, Tensor } from "../graph/graph.js";
import type { Op } from "./op.js";

/** A constant scalar. With value 1 it is the gradient of the loss by itself. */
export const fillOp: Op = {
  name: "fill",
  inputs: {},
  outputs: ["output"],
  attributes: { value: 0 },
  shapes: () => ({ output: { dtype: "float32", shape: [] } }),
  reference: (call) => {
    call.output("output").data[0] = call.attribute<number>("value");
  },
  cost: () => ({ flops: 0, bytes: 4 }),
};

/** Returns a scalar with this value. */
export function fill(graph: Graph, name: string, value: number): Tensor {
  return graph.apply(fillOp, name, {}, { value })["output"]!;
}
