import { ShortlistError } from "../errors.js";
import { addDims, type Dim, formatShape, multiplyDim } from "../graph/dims.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { type Op, promise, type Value } from "./op.js";

/**
 * Groups equal ids, so that each table row is updated once, by the sum of its terms. e is the concatenation of all N
 * ids. `order` sorts e stably, `rows[0 … count)` are the distinct ids in rising order, and the ids equal to rows[i] are
 *
 *     e[order[j]]  with  segments[i] ≤ j < segments[i + 1],  in rising order of order[j].
 *
 * From `count` on, rows are 0 and segments are N.
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
  check: (call) => {
    const n = call.output("order").rows;
    promise(call, "order", 0, n - 1);
    promise(call, "segments", 0, n);
    promise(call, "count", 0, n);
    // Rows are the ids, and 0 after the last of them.
    const ids = call.list("ids").filter(({ data }) => data.length > 0);
    const bounds = ids.map((value) => (value.given ? givenBounds(value) : value.bounds));
    if (bounds.includes(undefined)) return;
    const lowest = Math.min(0, ...bounds.map((of) => of!.lowest));
    promise(call, "rows", lowest, Math.max(0, ...bounds.map((of) => of!.highest)));
  },
  reference: (call) => {
    const sorted = sortIds(call.list("ids").flatMap(({ data }) => [...data]));
    for (const [slot, numbers] of Object.entries(sorted)) call.output(slot).data.set(numbers);
  },
  cost: (call) => ({ flops: 0, bytes: 4 * 4 * call.output("order").rows }),
};

/** Returns the outputs of `sort_rows` for one list of ids. */
export function sortIds(ids: readonly number[]) {
  const order = ids.map((_, i) => i).sort((a, b) => ids[a]! - ids[b]! || a - b);
  const rows = new Array<number>(ids.length).fill(0);
  const segments = new Array<number>(ids.length + 1).fill(ids.length);
  let count = 0;
  order.forEach((place, j) => {
    if (j > 0 && ids[place] === ids[order[j - 1]!]) return;
    rows[count] = ids[place]!;
    segments[count] = j;
    count++;
  });
  return { order, rows, segments, count: [count] };
}

function givenBounds({ data }: Value): { readonly lowest: number; readonly highest: number } {
  let [lowest, highest] = [data[0]!, data[0]!];
  for (let i = 1; i < data.length; i++) {
    lowest = Math.min(lowest, data[i]!);
    highest = Math.max(highest, data[i]!);
  }
  return { lowest, highest };
}

/** The number of elements of a shape, as a dim. At most one of the axes may be known only at run time. */
export function elementsOf(shape: readonly Dim[]): Dim {
  const [rows = 1, columns = 1] = shape;
  if (typeof columns === "number") return multiplyDim(rows, columns);
  if (typeof rows === "number") return multiplyDim(columns, rows);
  throw new ShortlistError("ERR_GRAPH", `Expected a shape with one run-time axis but received ${formatShape(shape)}`);
}

/** The result of `sortRows` for N ids, which the `_rows` optimizers read. */
export interface SortedRows {
  /** The indices of the ids in rising order of the ids; those of equal ids in rising order. int32 [N]. */
  readonly order: Tensor;
  /** The distinct ids in rising order, int32 [N]; 0 from `count` on. */
  readonly rows: Tensor;
  /** Where the indices of each distinct id start in `order`, int32 [N + 1]; N from `count` on. */
  readonly segments: Tensor;
  /** The number of distinct ids, an int32 scalar. */
  readonly count: Tensor;
}

/**
 * Sorts the ids of row terms, given in the order of the terms. Tables whose terms have the same ids may use one
 * result.
 */
export function sortRows(graph: Graph, name: string, ids: readonly Tensor[]): SortedRows {
  const { order, rows, segments, count } = graph.apply(sortRowsOp, name, { ids });
  return { order: order!, rows: rows!, segments: segments!, count: count! };
}
