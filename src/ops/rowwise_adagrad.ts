import { checkOptions } from "../errors.js";
import type { Graph } from "../graph/graph.js";
import type { AdagradOptions, AdagradRowsInputs } from "./adagrad.js";
import type { Op } from "./op.js";
import {
  checkRowTermShapes,
  checkRowTerms,
  forEachTouchedRow,
  ROW_TERM_INPUTS,
  rowTermCost,
  rowTermOperands,
} from "./row_terms.js";

/**
 * AdaGrad with one accumulator per row, like the row-wise AdaGrad of FBGEMM (docs/math.md#optimizers). For each row
 * that has a gradient, in place:
 *
 *     a += mean(g²),   θ −= η·g / (√a + ε).
 *
 * The optimizer state of a table then has one number per row instead of one per element.
 */
export const rowwiseAdagradRowsOp: Op = {
  name: "rowwise_adagrad_rows",
  inputs: {
    parameter: { dtype: "float32" },
    accumulator: { dtype: "float32", rank: 1 },
    learning_rate: { dtype: "float32", rank: 0 },
    ...ROW_TERM_INPUTS,
  },
  outputs: ["parameter", "accumulator"],
  attributes: { epsilon: 1e-6, terms: "" },
  shapes: (operands) => {
    checkRowTermShapes(operands);
    const [parameter, accumulator] = [operands.input("parameter"), operands.input("accumulator")];
    operands.expectShape("accumulator", [parameter.shape[0]!]);
    return { parameter: { inPlace: parameter }, accumulator: { inPlace: accumulator } };
  },
  check: checkRowTerms,
  reference: (call) => {
    const [parameter, accumulator] = [call.output("parameter"), call.output("accumulator").data];
    const [epsilon, rate] = [call.attribute<number>("epsilon"), call.input("learning_rate").data[0]!];
    const width = parameter.columns;
    forEachTouchedRow(call, (row, gradient) => {
      let squares = 0;
      for (const g of gradient) squares += g * g;
      const a = accumulator[row]! + squares / width;
      accumulator[row] = a;
      for (let c = 0; c < width; c++) {
        parameter.data[row * width + c]! -= (rate * gradient[c]!) / (Math.sqrt(a) + epsilon);
      }
    });
  },
  cost: (call) => rowTermCost(call, 5, 1),
};

/** Row-wise AdaGrad by row terms. `accumulator` is [rows]; the default of `epsilon` is 1e-6. */
export function rowwiseAdagradRows(
  graph: Graph,
  name: string,
  inputs: AdagradRowsInputs,
  options: Pick<AdagradOptions, "epsilon"> = {},
): void {
  checkOptions("rowwiseAdagradRows", options, { epsilon: true });
  const { learningRate, sorted, terms, ...operands } = inputs;
  const rows = rowTermOperands({ sorted, terms });
  graph.apply(
    rowwiseAdagradRowsOp,
    name,
    { ...operands, learning_rate: learningRate, ...rows.inputs },
    { epsilon: options.epsilon ?? 1e-6, ...rows.attributes },
  );
}
