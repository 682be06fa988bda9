import type { Graph, Tensor } from "../graph/graph.js";
import { type RowGradientInputs, rowTermOperands } from "./row_terms.js";
import { denseOp, rowsOp, type UpdateRule } from "./update_rule.js";

/** Gradient descent: θ −= η·g, in place. */
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

/** `sgd` of a whole parameter. */
export const sgdOp = denseOp(rule);

/** `sgd` for the rows of a table that the batch touched. */
export const sgdRowsOp = rowsOp(rule);

/** What `sgd` reads and updates. */
export interface SgdInputs {
  /** The parameter, of any shape. */
  readonly parameter: Tensor;
  /** The gradient of the loss by the parameter, of its shape. */
  readonly gradient: Tensor;
  /** The learning rate, a scalar. */
  readonly learningRate: Tensor;
}

/** Updates the parameter by the gradient, in place: θ −= η·g. */
export function sgd(graph: Graph, name: string, inputs: SgdInputs): void {
  const { learningRate, ...operands } = inputs;
  graph.apply(sgdOp, name, { ...operands, learning_rate: learningRate });
}

/** `sgd` by row terms, for the rows that the batch touched. */
export function sgdRows(graph: Graph, name: string, inputs: Omit<SgdInputs, "gradient"> & RowGradientInputs): void {
  const { learningRate, sorted, terms, ...operands } = inputs;
  const rows = rowTermOperands({ sorted, terms });
  graph.apply(sgdRowsOp, name, { ...operands, learning_rate: learningRate, ...rows.inputs }, rows.attributes);
}
