import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import type { Op } from "./op.js";

/** output = gradient + l2 · parameter, which is the gradient of loss + ½ l2 ‖parameter‖². For dense gradients. */
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

/** Operands of `l2Decay`. */
export interface L2DecayInputs {
  /** The gradient of the loss by the parameter, of its shape. */
  readonly gradient: Tensor;
  /** The parameter, of any shape. */
  readonly parameter: Tensor;
}

/**
 * Returns gradient + l2 · parameter, the gradient of the loss plus a penalty of ½ l2 ‖parameter‖², of the parameter's
 * shape.
 */
export function l2Decay(graph: Graph, name: string, inputs: L2DecayInputs, options: { readonly l2: number }): Tensor {
  checkOptions("l2Decay", options, { l2: true });
  return graph.apply(l2DecayOp, name, { ...inputs }, { l2: options.l2 })["output"]!;
}
