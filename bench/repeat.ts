import type { Instruction, Operand, Program, TensorSpec } from "../src/graph/program.js";
import { STORED_ROLES } from "../src/graph/program.js";

/**
 * Repeats the instructions of a Program `copies` times, in order. A run of the result is one call of the engine, so
 * kernels that take a few microseconds are timed back to back, as in a loop in C. Each copy has temporaries of its own
 * (which use the same memory in turn), and there are no outputs.
 */
export function repeatProgram(program: Program, copies: number): Program {
  const kept = new Set(
    program.tensors.filter(({ role }) => role === "input" || STORED_ROLES.has(role)).map(({ name }) => name),
  );
  const tensors: TensorSpec[] = program.tensors.filter(({ name }) => kept.has(name));
  const instructions: Instruction[] = [];
  for (let copy = 0; copy < copies; copy++) {
    const rename = (name: string) => (kept.has(name) ? name : `${name}#${copy}`);
    for (const spec of program.tensors) {
      if (!kept.has(spec.name)) tensors.push({ ...spec, name: rename(spec.name), role: "temporary" });
    }
    for (const { op, inputs, outputs, attributes } of program.instructions) {
      instructions.push({ op, inputs: renamed(inputs, rename), outputs: renamed(outputs, rename), attributes });
    }
  }
  return { ...program, tensors, instructions };
}

/** Renames the operands of an instruction. */
export function renamed(
  operands: Readonly<Record<string, Operand>>,
  rename: (name: string) => string,
): Record<string, Operand> {
  return Object.fromEntries(
    Object.entries(operands).map(([slot, operand]) => [
      slot,
      typeof operand === "string" ? rename(operand) : operand.map(rename),
    ]),
  );
}
