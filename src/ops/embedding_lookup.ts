import type { Graph, Tensor } from "../graph/graph.js";
import { checkIds, type Op } from "./op.js";

/** Reads rows of a table: output[i] = table[ids[i]]. */
export const embeddingLookupOp: Op = {
  name: "embedding_lookup",
  inputs: { table: { dtype: "float32", rank: 2 }, ids: { dtype: "int32", rank: 1 } },
  outputs: ["output"],
  attributes: {},
  shapes: (operands) => ({
    output: { dtype: "float32", shape: [operands.input("ids").shape[0]!, operands.input("table").shape[1]!] },
  }),
  // d table[ids[i]] += d output[i]: the gradient of the output already is the row term.
  gradient: ({ input, outputGradient }) => ({
    table: { rows: [{ ids: input("ids"), rows: outputGradient("output") }] },
  }),
  check: (call) => checkIds(call, "ids", call.input("table").rows),
  reference: (call) => {
    const [table, ids, output] = [call.input("table"), call.input("ids"), call.output("output")];
    const width = table.columns;
    for (let i = 0; i < output.rows; i++) {
      for (let c = 0; c < width; c++) output.data[i * width + c] = table.data[ids.data[i]! * width + c]!;
    }
  },
  cost: (call) => {
    const { rows, columns } = call.output("output");
    return { flops: 0, bytes: 4 * rows * (2 * columns + 1) };
  },
};

/** Returns the rows of a table [rows, width] with the numbers `ids`, int32 [n]: [n, width]. */
export function embeddingLookup(graph: Graph, name: string, table: Tensor, ids: Tensor): Tensor {
  return graph.apply(embeddingLookupOp, name, { table, ids })["output"]!;
}
