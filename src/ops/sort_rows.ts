import { ShortlistError } from "../errors.js";
import { addDims, type Dim, formatShape, multiplyDim } from "../graph/dims.js";
import type { Graph, Tensor } from "../graph/graph.js";
import type { Op } from "./op.js";

/**
 * Groups equal ids, so that each table row is updated once by the sum of its terms. With e the concatenation of all ids
 * (N of them), `order` sorts e stably, `rows[0 … count)` are the distinct ids, rising, and those equal to rows[i] stand at
 *
 *     e[order[j]],  segments[i] ≤ j < segments[i + 1],  in rising order.
 *
 * Past `count`, rows are 0 and segments N.
 */
export const sortRowsOp: Op = {
  name: "sort_rows",
  inputs: { ids: { dtype: "int32", variadic: true } },
  outputs: ["order", "rows", "segments", "count"],
  attributes: {},
  shapes: (operands) => {
    const n = addDims(...operands.list("ids").map(({ shape }) => elementsOf(shape)));
    return {
      order: { dtype: "int32", shape: [n] },
      rows: { dtype: "int32", shape: [n] },
      segments: { dtype: "int32", shape: [addDims(n, 1)] },
      count: { dtype: "int32", shape: [] },
    };
  },
  reference: (call) => {
    const e = call.list("ids").flatMap(({ data }) => [...data]);
    const order = call.output("order").data;
    const [rows, segments] = [call.output("rows").data.fill(0), call.output("segments").data.fill(e.length)];
    order.set(e.map((_, i) => i).sort((a, b) => e[a]! - e[b]! || a - b));
    let count = 0;
    for (let j = 0; j < e.length; j++) {
      if (j > 0 && e[order[j]!] === e[order[j - 1]!]) continue;
      rows[count] = e[order[j]!]!;
      segments[count] = j;
      count++;
    }
    call.output("count").data[0] = count;
  },
  cost: (call) => ({ flops: 0, bytes: 4 * 4 * call.output("order").rows }),
};

/** The elements of a shape, as a dim: at most one of its axes is known only at run time. */
export function elementsOf(shape: readonly Dim[]): Dim {
  const [rows = 1, columns = 1] = shape;
  if (typeof columns === "number") return multiplyDim(rows, columns);
  if (typeof rows === "number") return multiplyDim(columns, rows);
  throw new ShortlistError("ERR_GRAPH", `Expected a shape with one run-time axis but received ${formatShape(shape)}`);
}

/** The result of `sortRows`: what the `_rows` optimizers read beside the terms. */
export interface SortedRows {
  readonly order: Tensor;
  readonly rows: Tensor;
  readonly segments: Tensor;
  readonly count: Tensor;
}

/** Sorts the ids of a gradient's row terms, in the order of the terms. Tables with the same ids may share the result. */
export function sortRows(graph: Graph, name: string, ids: readonly Tensor[]): SortedRows {
  const { order, rows, segments, count } = graph.apply(sortRowsOp, name, { ids });
  return { order: order!, rows: rows!, segments: segments!, count: count! };
}
