import type { Graph, Tensor } from "../graph/graph.js";
import { type RowGradientInputs, rowTermOperands } from "./row_terms.js";
import { denseOp, rowsOp, type UpdateRule } from "./update_rule.js";

/** Gradient descent, in place: θ −= η·g. */
const rule: UpdateRule = {
  name: "sgd",
  state: [],
  scalars: { learning_rate: { dtype: "float32", rank: 0 } },
  attributes: {},
  flops: 2,
  update: (call) => {
    const parameter = call.output("parameter").data;
    const rate = call.input("learning_rate").data[0]!;
    return (i, gradient) => {
      parameter[i]! -= rate * gradient;
    };
  },
};

/** Updates a whole parameter. */
export const sgdOp = denseOp(rule);

/** Updates the rows of a table that have a gradient. */
export const sgdRowsOp = rowsOp(rule);

/** Operands of `sgd`. */
export interface SgdInputs {
  /** The parameter, of any shape. */
  readonly parameter: Tensor;
  /** The gradient of the loss by the parameter, of its shape. */
  readonly gradient: Tensor;
  /** The learning rate, a scalar. */
  readonly learningRate: Tensor;
}

/** Updates a parameter in place, by a dense gradient: θ −= η·g. */
export function sgd(graph: Graph, name: string, inputs: SgdInputs): void {
  const { learningRate, ...operands } = inputs;
  graph.apply(sgdOp, name, { ...operands, learning_rate: learningRate });
}

/** Updates the rows of a table that have a gradient, in place, by row terms. */
export function sgdRows(graph: Graph, name: string, inputs: Omit<SgdInputs, "gradient"> & RowGradientInputs): void {
  const { learningRate, sorted, terms, ...operands } = inputs;
  const rows = rowTermOperands({ sorted, terms });
  graph.apply(sgdRowsOp, name, { ...operands, learning_rate: learningRate, ...rows.inputs }, rows.attributes);
}
