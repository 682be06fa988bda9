import { type DimSizes, evaluateDim } from "../graph/dims.js";
import { type Instruction, operandNames, type Program, tensorsByName } from "../graph/program.js";
import { OPS } from "./index.js";
import type { Cost } from "./op.js";

/** The least work of each instruction of a Program, for a run with these sizes. */
export function instructionCosts(program: Program, dims: DimSizes): Cost[] {
  const specs = tensorsByName(program);
  const sizes = (name: string) => {
    const [rows = 1, columns = 1] = specs.get(name)!.shape.map((dim) => evaluateDim(dim, dims));
    return { rows, columns };
  };
  const list = (operands: Instruction["inputs"], slot: string) => operandNames(operands[slot]).map(sizes);
  return program.instructions.map(({ op, inputs, outputs, attributes }) =>
    OPS.get(op)!.cost({
      has: (slot) => slot in inputs || slot in outputs,
      input: (slot) => list(inputs, slot)[0]!,
      list: (slot) => list(inputs, slot),
      output: (slot) => list(outputs, slot)[0]!,
      attribute: (name) => attributes[name] as never,
    }),
  );
}
