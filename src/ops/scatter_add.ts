import type { Graph, InputSlot, Tensor } from "../graph/graph.js";
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

const BASE_INPUTS: Record<string, InputSlot> = {
  table: { dtype: "float32" },
  base: { dtype: "float32", optional: true },
};

/**
 * Converts row terms to a dense tensor: output = base + Σ terms, of the shape of `table`. The default of `base` is 0,
 * and only the shape of `table` is used. For tables whose gradient must be dense: those that are computed, or that are
 * read as a matrix as well as by rows.
 */
export const scatterAddOp: Op = {
  name: "scatter_add",
  inputs: { ...BASE_INPUTS, ...ROW_TERM_INPUTS },
  outputs: ["output"],
  attributes: { terms: "" },
  shapes: (operands) => {
    checkRowTermShapes(operands, "table");
    const { shape } = operands.input("table");
    if (operands.has("base")) operands.expectShape("base", shape);
    return { output: { dtype: "float32", shape } };
  },
  check: (call) => checkRowTerms(call, "table"),
  reference: (call) => {
    const { data, columns } = call.output("output");
    if (call.has("base")) data.set(call.input("base").data);
    else data.fill(0);
    forEachTouchedRow(
      call,
      (row, gradient) => {
        for (let c = 0; c < columns; c++) data[row * columns + c]! += gradient[c]!;
      },
      "table",
    );
  },
  cost: (call) => {
    const { rows, columns } = call.output("output");
    const terms = rowTermCost(call, 1, 1, "table");
    return { flops: terms.flops, bytes: terms.bytes + 4 * rows * columns * (call.has("base") ? 2 : 1) };
  },
};

/** Operands of `scatterAdd`. */
export interface ScatterAddInputs extends RowGradientInputs {
  /** The table, [rows, width] or [rows]. Only its shape is used. */
  readonly table: Tensor;
  /** A tensor of the table's shape to which the terms are added (default 0). */
  readonly base?: Tensor | undefined;
}

/** Returns `base` plus the sum of all terms, of the table's shape. */
export function scatterAdd(graph: Graph, name: string, inputs: ScatterAddInputs): Tensor {
  const { sorted, terms, ...operands } = inputs;
  const rows = rowTermOperands({ sorted, terms });
  return graph.apply(scatterAddOp, name, { ...operands, ...rows.inputs }, rows.attributes)["output"]!;
}
