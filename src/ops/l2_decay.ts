import type { Graph, Tensor } from "../graph/graph.js";
import type { Op } from "./op.js";

/** output = gradient + l2 · parameter: the gradient of loss + ½ l2 ‖parameter‖². For dense parameters. */
export const l2DecayOp: Op = {
  name: "l2_decay",
  inputs: { gradient: { dtype: "float32" }, parameter: { dtype: "float32" } },
  outputs: ["output"],
  attributes: { l2: 0 },
  shapes: (operands) => {
    const { shape } = operands.input("parameter");
    operands.expectShape("gradient", shape);
    return { output: { dtype: "float32", shape } };
  },
  reference: (call) => {
    const [gradient, parameter] = [call.input("gradient").data, call.input("parameter").data];
    const output = call.output("output").data;
    const l2 = call.attribute<number>("l2");
    for (let i = 0; i < output.length; i++) output[i] = gradient[i]! + l2 * parameter[i]!;
  },
  cost: (call) => {
    const { rows, columns } = call.output("output");
    return { flops: 2 * rows * columns, bytes: 12 * rows * columns };
  },
};

export interface L2DecayInputs {
  readonly gradient: Tensor;
  readonly parameter: Tensor;
}

/** gradient + l2 · parameter. */
export function l2Decay(graph: Graph, name: string, inputs: L2DecayInputs, options: { readonly l2: number }): Tensor {
  return graph.apply(l2DecayOp, name, { ...inputs }, { l2: options.l2 })["output"]!;
}
