import type { Graph, Tensor } from "../graph/graph.js";
import type { Op } from "./op.js";
import {
  checkRowTermShapes,
  checkRowTerms,
  forEachTouchedRow,
  ROW_TERM_INPUTS,
  type RowGradientInputs,
  rowTermCost,
  rowTermOperands,
} from "./row_terms.js";

/** Gradient descent: θ −= η·g, in place. */
export const sgdOp: Op = {
  name: "sgd",
  inputs: {
    parameter: { dtype: "float32" },
    gradient: { dtype: "float32" },
    learning_rate: { dtype: "float32", rank: 0 },
  },
  outputs: ["parameter"],
  attributes: {},
  shapes: (operands) => {
    operands.expectShape("gradient", operands.input("parameter").shape);
    return { parameter: { inPlace: operands.input("parameter") } };
  },
  reference: (call) => {
    const [parameter, gradient] = [call.output("parameter").data, call.input("gradient").data];
    const rate = call.input("learning_rate").data[0]!;
    for (let i = 0; i < parameter.length; i++) parameter[i]! -= rate * gradient[i]!;
  },
  cost: (call) => {
    const { rows, columns } = call.input("parameter");
    return { flops: 2 * rows * columns, bytes: 12 * rows * columns };
  },
};

/** `sgd` for the rows of a table that the batch touched. */
export const sgdRowsOp: Op = {
  name: "sgd_rows",
  inputs: {
    parameter: { dtype: "float32" },
    learning_rate: { dtype: "float32", rank: 0 },
    ...ROW_TERM_INPUTS,
  },
  outputs: ["parameter"],
  attributes: { terms: "" },
  shapes: (operands) => {
    checkRowTermShapes(operands);
    return { parameter: { inPlace: operands.input("parameter") } };
  },
  check: checkRowTerms,
  reference: (call) => {
    const parameter = call.output("parameter");
    const rate = call.input("learning_rate").data[0]!;
    const width = parameter.columns;
    forEachTouchedRow(call, (row, gradient) => {
      for (let c = 0; c < width; c++) parameter.data[row * width + c]! -= rate * gradient[c]!;
    });
  },
  cost: (call) => rowTermCost(call, 2, 1),
};

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
