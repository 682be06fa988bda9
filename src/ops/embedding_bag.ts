import { decrementDim } from "../graph/dims.js";
import type { Graph, ShapeOperands, Tensor } from "../graph/graph.js";
import { checkIds, checkOffsets, type KernelCall, type Op } from "./op.js";
import { checkRanges, RANGE_INPUTS, rangeSamples } from "./ranges.js";

/**
 * The mean of table rows over ranges of ids:
 *
 *     output[s] = Σ table[ids[j]] / n,  with j in the range of s and n the range's length; 0 for an empty range.
 *
 * A range [start[s], end[s]) is a range of ids. With `offsets` it is a range of groups, such as the tags of each click,
 * and group g consists of the ids offsets[g] … offsets[g + 1] − 1; the mean is over all ids of all groups in the range.
 * Ranges may overlap, and groups may be empty.
 */
export const embeddingBagOp: Op = {
  name: "embedding_bag",
  inputs: {
    table: { dtype: "float32", rank: 2 },
    ids: { dtype: "int32", rank: 1 },
    ...RANGE_INPUTS,
    offsets: { dtype: "int32", rank: 1, optional: true },
  },
  outputs: ["output"],
  attributes: {},
  shapes: (operands) => {
    const samples = rangeSamples(operands);
    return { output: { dtype: "float32", shape: [samples, operands.input("table").shape[1]!] } };
  },
  // d table[ids[j]] += d output[s] / n for each s whose range has j. The sum over s is the same for all ids of a group.
  gradient: ({ graph, name, input, optional, outputGradient }) => {
    const offsets = optional("offsets");
    const rows = graph.apply(embeddingBagGradientOp, `${name}.rows`, {
      output_gradient: outputGradient("output"),
      ids: input("ids"),
      start: input("start"),
      end: input("end"),
      offsets,
    })["rows"]!;
    return { table: { rows: [{ ids: input("ids"), rows, ...(offsets && { offsets }) }] } };
  },
  check: (call) => {
    checkIds(call, "ids", call.input("table").rows);
    checkBagRanges(call);
  },
  reference: (call) => {
    const [table, ids, output] = [call.input("table"), call.input("ids"), call.output("output")];
    const width = table.columns;
    const sum = new Float64Array(width);
    for (let s = 0; s < output.rows; s++) {
      const [from, to] = idRange(call, s);
      sum.fill(0);
      for (let j = from; j < to; j++) {
        const row = ids.data[j]! * width;
        for (let c = 0; c < width; c++) sum[c]! += table.data[row + c]!;
      }
      for (let c = 0; c < width; c++) output.data[s * width + c] = to > from ? sum[c]! / (to - from) : 0;
    }
  },
  cost: (call) => {
    const [ids, output] = [call.input("ids").rows, call.output("output")];
    return {
      flops: ids * output.columns,
      bytes: 4 * (ids * (output.columns + 1) + output.rows * (output.columns + 2)),
    };
  },
};

/**
 * rows[g] = Σ_s output_gradient[s] / n(s) over the samples s whose range has group g. Without `offsets`, group g is id
 * g.
 */
export const embeddingBagGradientOp: Op = {
  name: "embedding_bag_gradient",
  inputs: {
    output_gradient: { dtype: "float32", rank: 2 },
    ids: { dtype: "int32", rank: 1 },
    ...RANGE_INPUTS,
    offsets: { dtype: "int32", rank: 1, optional: true },
  },
  outputs: ["rows"],
  attributes: {},
  shapes: (operands) => {
    const samples = rangeSamples(operands);
    const [, width] = operands.input("output_gradient").shape;
    operands.expectShape("output_gradient", [samples, width!]);
    return { rows: { dtype: "float32", shape: [groupsOf(operands), width!] } };
  },
  check: (call) => checkBagRanges(call),
  reference: (call) => {
    const [gradient, rows] = [call.input("output_gradient"), call.output("rows")];
    const [start, end] = [call.input("start"), call.input("end")];
    const width = gradient.columns;
    const sum = new Float64Array(rows.data.length);
    for (let s = 0; s < gradient.rows; s++) {
      const [from, to] = idRange(call, s);
      for (let g = start.data[s]!; g < end.data[s]! && to > from; g++) {
        for (let c = 0; c < width; c++) sum[g * width + c]! += gradient.data[s * width + c]! / (to - from);
      }
    }
    rows.data.set(sum);
  },
  cost: (call) => {
    const [rows, gradient] = [call.output("rows"), call.input("output_gradient")];
    return {
      flops: 2 * rows.rows * rows.columns,
      bytes: 4 * (rows.rows * rows.columns + gradient.rows * gradient.columns),
    };
  },
};

/** The number of groups: one less than that of offsets, or one per id without `offsets`. */
function groupsOf(operands: ShapeOperands) {
  return operands.has("offsets") ? decrementDim(operands.input("offsets").shape[0]!) : operands.input("ids").shape[0]!;
}

function checkBagRanges(call: KernelCall): void {
  const ids = call.input("ids").rows;
  if (call.has("offsets")) checkOffsets(call, "offsets", ids);
  checkRanges(call, call.has("offsets") ? call.input("offsets").rows - 1 : ids);
}

/** The half-open range of the ids of sample s. */
function idRange(call: KernelCall, s: number): [number, number] {
  const [from, to] = [call.input("start").data[s]!, call.input("end").data[s]!];
  if (!call.has("offsets")) return [from, to];
  const offsets = call.input("offsets").data;
  return [offsets[from]!, offsets[to]!];
}

/** Operands of `embeddingBag`. */
export interface EmbeddingBagInputs {
  /** The table [rows, width]. */
  readonly table: Tensor;
  /** Row numbers of the table, int32 [n]. */
  readonly ids: Tensor;
  /** The first id of each sample's range (the first group with `offsets`), int32 [samples]. */
  readonly start: Tensor;
  /** The end of each sample's range, exclusive, int32 [samples]. */
  readonly end: Tensor;
  /** Index of the first id of each group, int32 [groups + 1]. If given, ranges are ranges of groups instead of ids. */
  readonly offsets?: Tensor | undefined;
}

/** Returns the mean of the table rows in each sample's range [samples, width]; 0 for an empty range. */
export function embeddingBag(graph: Graph, name: string, inputs: EmbeddingBagInputs): Tensor {
  return graph.apply(embeddingBagOp, name, { ...inputs })["output"]!;
}
