import type { Graph, Tensor } from "../graph/graph.js";
import { checkWhole } from "./numerics.js";
import { type Op, promiseConsecutive, refuse } from "./op.js";

/** Consecutive numbers, one for each row of `like`: output[i] = first + i. Only the shape of `like` is used. */
export const rowNumbersOp: Op = {
  name: "row_numbers",
  inputs: { like: { dtype: "int32", rank: 1 } },
  outputs: ["output"],
  attributes: { first: 0 },
  shapes: (operands) => {
    checkWhole(operands, "first", 0);
    return { output: { dtype: "int32", shape: operands.input("like").shape } };
  },
  check: (call) => {
    const first = call.attribute<number>("first");
    if (first + call.input("like").rows > 2 ** 31 - 1) refuse(call, "Expected numbers below 2³¹", "ERR_PROGRAM");
    promiseConsecutive(call, "output", first);
  },
  reference: (call) => {
    const { data } = call.output("output");
    for (let i = 0; i < data.length; i++) data[i] = call.attribute<number>("first") + i;
  },
  cost: (call) => ({ flops: 0, bytes: 4 * call.output("output").rows }),
};

/** Returns the numbers first, first + 1, …, one for each row of `like`: int32 [n]. */
export function rowNumbers(graph: Graph, name: string, like: Tensor, first = 0): Tensor {
  return graph.apply(rowNumbersOp, name, { like }, { first })["output"]!;
}
