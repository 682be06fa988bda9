import { decrementDim } from "../graph/dims.js";
import { checkOffsets, type Op } from "./op.js";

/**
 * Sums groups of consecutive rows: output[g] = Σ input[r] over offsets[g] ≤ r < offsets[g + 1]; 0 for an empty group.
 */
export const groupSumOp: Op = {
  name: "group_sum",
  inputs: { input: { dtype: "float32", rank: 2 }, offsets: { dtype: "int32", rank: 1 } },
  outputs: ["output"],
  attributes: {},
  shapes: (operands) => {
    const groups = decrementDim(operands.input("offsets").shape[0]!);
    return { output: { dtype: "float32", shape: [groups, operands.input("input").shape[1]!] } };
  },
  check: (call) => checkOffsets(call, "offsets", call.input("input").rows),
  reference: (call) => {
    const [input, offsets, output] = [call.input("input"), call.input("offsets").data, call.output("output")];
    const width = output.columns;
    for (let g = 0; g < output.rows; g++) {
      for (let c = 0; c < width; c++) {
        let sum = 0;
        for (let r = offsets[g]!; r < offsets[g + 1]!; r++) sum += input.data[r * width + c]!;
        output.data[g * width + c] = sum;
      }
    }
  },
  cost: (call) => {
    const [input, output] = [call.input("input"), call.output("output")];
    const elements = input.rows * input.columns;
    return { flops: elements, bytes: 4 * (elements + output.rows * output.columns) };
  },
};
