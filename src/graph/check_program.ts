import { ShortlistError } from "../errors.js";
import { dimNames, formatShape, sameShape } from "./dims.js";
import {
  checkInputs,
  type GraphOp,
  type OutputShape,
  ShapeOperands,
  type Tensor,
  type TensorOperand,
} from "./graph.js";
import { type Instruction, type Operand, operandNames, type Program, STORED_ROLES, tensorsByName } from "./program.js";

/**
 * Checks that a Program, which may come from anywhere, is one that a `Graph` could have built. Throws ERR_PROGRAM that
 * names the instruction and the operand unless
 *
 * - every operand has the dtype and rank of its slot, and the shape rules give the shapes of all outputs;
 * - int32 operands, which ops follow as indices, are inputs, constants or computed in the run: nothing else can change
 *   them after they are checked;
 * - a tensor that is updated in place is no other operand of its instruction;
 * - all other results are temporaries or outputs.
 */
export function checkProgram(program: Program, ops: ReadonlyMap<string, GraphOp>): void {
  const tensors = tensorsByName(program);
  program.instructions.forEach((instruction, index) => {
    const op = ops.get(instruction.op);
    if (!op) throw new ShortlistError("ERR_PROGRAM", `Program uses unknown op "${instruction.op}"`);
    try {
      new InstructionCheck(program, op, instruction, tensors).run();
    } catch (error) {
      throw new ShortlistError("ERR_PROGRAM", `${(error as Error).message} (instruction ${index})`, { cause: error });
    }
  });
}

class InstructionCheck {
  readonly #program: Program;
  readonly #op: GraphOp;
  readonly #instruction: Instruction;
  readonly #tensors: ReadonlyMap<string, Tensor>;

  constructor(program: Program, op: GraphOp, instruction: Instruction, tensors: ReadonlyMap<string, Tensor>) {
    this.#program = program;
    this.#op = op;
    this.#instruction = instruction;
    this.#tensors = tensors;
  }

  run(): void {
    const { inputs, outputs, attributes } = this.#instruction;
    const operands = Object.fromEntries(
      Object.entries(inputs).map(([slot, operand]) => [slot, this.#tensorsOf(operand)]),
    );
    const present = checkInputs(this.#op, operands);
    for (const [slot, operand] of Object.entries(present)) this.#checkIntegers(slot, operand);
    this.#checkAttributes();
    const shapes = this.#op.shapes(new ShapeOperands(this.#op.name, present, attributes));
    for (const slot of Object.keys(outputs)) {
      if (shapes[slot] === undefined) this.#fail(`Unknown output "${slot}"`);
    }
    for (const slot of this.#op.outputs) {
      const shape = shapes[slot];
      if (shape !== undefined) this.#checkOutput(slot, shape);
    }
  }

  #checkIntegers(slot: string, operand: TensorOperand): void {
    for (const { name, dtype, role } of [operand].flat() as Tensor[]) {
      if (dtype !== "int32" || !STORED_ROLES.has(role) || role === "constant") continue;
      this.#fail(`Expected ${slot} to be an input, a constant or computed but received ${role} ${name}`);
    }
  }

  #checkAttributes(): void {
    for (const [name, fallback] of Object.entries(this.#op.attributes)) {
      const value = this.#instruction.attributes[name];
      if (value === undefined) this.#fail(`Missing attribute "${name}"`);
      if (typeof value === typeof fallback && (typeof value !== "number" || Number.isFinite(value))) continue;
      // The size of an output may be a dim instead of a number.
      const dims = typeof fallback === "number" && typeof value === "string" ? dimNames(value) : [];
      if (dims.length > 0 && dims.every((dim) => this.#program.dims.includes(dim))) continue;
      this.#fail(`Expected attribute "${name}" to be a ${typeof fallback} but received ${JSON.stringify(value)}`);
    }
  }

  #checkOutput(slot: string, expected: OutputShape | readonly OutputShape[]): void {
    const operand = this.#instruction.outputs[slot];
    if (operand === undefined) this.#fail(`Missing output "${slot}"`);
    const isList = Array.isArray(expected);
    if (Array.isArray(operand) !== isList) this.#fail(`Expected ${isList ? "a list" : "one tensor"} for "${slot}"`);
    const given = [this.#tensorsOf(operand)].flat() as Tensor[];
    const shapes = [expected].flat() as OutputShape[];
    if (given.length !== shapes.length) this.#fail(`Expected ${shapes.length} ${slot} but received ${given.length}`);
    given.forEach((tensor, i) => {
      const shape = shapes[i]!;
      if ("inPlace" in shape) this.#checkInPlace(slot, tensor, shape.inPlace);
      else this.#checkResult(slot, tensor, shape);
    });
  }

  #checkInPlace(slot: string, tensor: Tensor, input: Tensor): void {
    const reads = Object.values(this.#instruction.inputs).flatMap(operandNames);
    const once = reads.filter((name) => name === tensor.name).length === 1;
    if (tensor === input && once && STORED_ROLES.has(tensor.role)) return;
    this.#fail(
      `Expected ${slot} to be the stored tensor that is updated in place, and no other operand, but received ${tensor.name}`,
    );
  }

  #checkResult(slot: string, { name, dtype, shape, role }: Tensor, expected: Extract<OutputShape, { shape: unknown }>) {
    if (STORED_ROLES.has(role)) {
      this.#fail(`Expected ${slot} to be a temporary or an output but received ${role} ${name}`);
    }
    if (dtype !== expected.dtype) {
      this.#fail(`Expected ${slot} of ${expected.dtype} but received ${name} of ${dtype}`);
    }
    if (!sameShape(shape, expected.shape)) {
      this.#fail(`Expected ${slot} ${formatShape(expected.shape)} but received ${name} ${formatShape(shape)}`);
    }
  }

  #tensorsOf(operand: Operand): TensorOperand {
    const named = (name: string) => this.#tensors.get(name) ?? this.#fail(`Undefined tensor "${name}"`);
    return typeof operand === "string" ? named(operand) : operand.map(named);
  }

  #fail(message: string): never {
    throw new ShortlistError("ERR_PROGRAM", `[${this.#op.name}] ${message}`);
  }
}
