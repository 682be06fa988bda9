import { type Instruction, type Program, STORED_ROLES, type TensorSpec } from "../src/graph/program.js";
import { renamed } from "./repeat.js";

/** A Program that runs each instruction of another Program several times in a row. */
export interface TimedProgram {
  readonly program: Program;
  /** For each instruction of the original Program, the indices of its copies. */
  readonly copies: readonly (readonly number[])[];
}

export interface TimedOptions {
  /** Number of copies of each instruction. */
  readonly copies: readonly number[];
  /** Number of elements to read before each copy, so that its operands leave the caches; 0 for none. */
  readonly evicted: number;
}

/** Name of the stored tensor [evicted] that is read to empty the caches. */
export const EVICTING = "evicting.memory";

/**
 * Repeats each instruction back to back, as in a loop in C, so that neither the engine's call nor the clock's
 * resolution affects the time of a copy. Each copy has outputs of its own; later instructions read those of the first
 * copy. The Program has no outputs.
 */
export function timedProgram(program: Program, { copies, evicted }: TimedOptions): TimedProgram {
  const kept = new Set(
    program.tensors.filter(({ role }) => role === "input" || STORED_ROLES.has(role)).map(({ name }) => name),
  );
  const specs = new Map(program.tensors.map((spec) => [spec.name, spec]));
  const tensors: TensorSpec[] = program.tensors.map((spec) =>
    kept.has(spec.name) ? spec : { ...spec, role: "temporary" },
  );
  if (evicted > 0) tensors.push({ name: EVICTING, dtype: "float32", shape: [evicted], role: "optimizer_state" });
  const instructions: Instruction[] = [];
  const places = program.instructions.map((instruction, i) =>
    Array.from({ length: copies[i]! }, (_, copy) => {
      if (evicted > 0) {
        const output = `evicting.sum${instructions.length}`;
        tensors.push({ name: output, dtype: "float32", shape: [], role: "temporary" });
        instructions.push({ op: "sum", inputs: { input: EVICTING }, outputs: { output }, attributes: {} });
      }
      const rename = (name: string): string => {
        if (copy === 0 || kept.has(name)) return name;
        const copied = `${name}#${copy}`;
        tensors.push({ ...specs.get(name)!, name: copied, role: "temporary" });
        return copied;
      };
      instructions.push({ ...instruction, outputs: renamed(instruction.outputs, rename) });
      return instructions.length - 1;
    }),
  );
  return { program: { ...program, tensors, instructions }, copies: places };
}
