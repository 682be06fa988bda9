import { ShortlistError } from "../errors.js";
import { type Dim, dimNames, isDimName } from "./dims.js";

/** What the elements of a tensor are. */
export type Dtype = "float32" | "int32" | "uint32";

/**
 * How a tensor comes to be and how long it lives: `parameter` is trained, `constant` is saved with the model but never
 * changes (noise distribution, alias table), `optimizer_state` lives between steps but is not part of a model, `input`
 * is given to each run, `temporary` lives within one run, `output` is handed back by it.
 */
export type Role = "parameter" | "constant" | "optimizer_state" | "input" | "temporary" | "output";

/** Roles whose tensors live in a tensor store, between runs. */
export const STORED_ROLES: ReadonlySet<Role> = new Set<Role>(["parameter", "constant", "optimizer_state"]);

/** A tensor of a Program. */
export interface TensorSpec {
  /** Its name, which no other tensor of the Program has. */
  readonly name: string;
  /** What its elements are. */
  readonly dtype: Dtype;
  /** At most two axes, rows first; `[]` is a scalar. Stored tensors have numbers only. */
  readonly shape: readonly Dim[];
  /** How it comes to be, and how long it lives. */
  readonly role: Role;
}

/** What fills one named slot of an op: a tensor's name, or a list of names where the slot takes several. */
export type Operand = string | readonly string[];

/** The value of an attribute of an instruction. */
export type Attribute = number | boolean | string;

/** One step of a Program: an op applied to tensors. docs/ops.md lists the ops. */
export interface Instruction {
  /** The op's name. */
  readonly op: string;
  /** Its operands by input slot. */
  readonly inputs: Readonly<Record<string, Operand>>;
  /** What it writes by output slot. */
  readonly outputs: Readonly<Record<string, Operand>>;
  /** Every attribute of the op. */
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/**
 * Everything the engine computes, as plain data: which tensors there are and which ops turn which into which, in order.
 * An instruction may write a `parameter` or `optimizer_state` in place; every other tensor is written exactly once.
 */
export interface Program {
  /** Tells the JSON of a Program from other JSON. */
  readonly format: "shortlist-program";
  /** The version of the format. */
  readonly version: 1;
  /** The names of the sizes that each run is given. */
  readonly dims: readonly string[];
  /** Every tensor that an instruction names. */
  readonly tensors: readonly TensorSpec[];
  /** What is computed, in order. */
  readonly instructions: readonly Instruction[];
}

export function operandNames(operand: Operand | undefined): readonly string[] {
  if (operand === undefined) return [];
  return typeof operand === "string" ? [operand] : operand;
}

export function namesIn(operands: Readonly<Record<string, Operand>>): string[] {
  return Object.values(operands).flatMap(operandNames);
}

export function tensorsByName(program: Program): Map<string, TensorSpec> {
  return new Map(program.tensors.map((tensor) => [tensor.name, tensor]));
}

/** The tensors that live in a store; their shapes are numbers. */
export function storedTensors(program: Program): readonly (TensorSpec & { readonly shape: readonly number[] })[] {
  return program.tensors.filter(({ role }) => STORED_ROLES.has(role)) as never;
}

/** A Program as JSON, a line for each tensor and instruction, so that two of them can be compared line by line. */
export function formatProgram(program: Program): string {
  const lines = (items: readonly unknown[]) => items.map((item) => `    ${JSON.stringify(item)}`).join(",\n");
  return `{
  "format": ${JSON.stringify(program.format)},
  "version": ${program.version},
  "dims": ${JSON.stringify(program.dims)},
  "tensors": [
${lines(program.tensors)}
  ],
  "instructions": [
${lines(program.instructions)}
  ]
}
`;
}

const DTYPES: readonly string[] = ["float32", "int32", "uint32"];
const ROLES: readonly string[] = ["parameter", "constant", "optimizer_state", "input", "temporary", "output"];

/**
 * Reads a Program from JSON. ERR_PROGRAM where it does not hang together: unknown dtypes, roles or dims, undefined
 * operands, a temporary that is read before it is written or written twice. `checkProgram` holds it against the ops.
 */
export function parseProgram(text: string): Program {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ShortlistError("ERR_PROGRAM", "Program: expected JSON", { cause });
  }
  return toProgram(value);
}

/**
 * Checks that plain data is a Program that hangs together: known dtypes, roles and dims, every operand defined, every
 * temporary written before it is read and written once. Op names and operand slots are the executors' to check.
 */
export function toProgram(value: unknown): Program {
  const fail = (message: string): never => {
    throw new ShortlistError("ERR_PROGRAM", `Program: ${message}`);
  };
  const program = value as Program;
  if (program?.format !== "shortlist-program") fail('expected "format": "shortlist-program"');
  if (program.version !== 1) fail(`expected "version": 1 but received ${JSON.stringify(program.version)}`);
  if (!Array.isArray(program.dims) || !Array.isArray(program.tensors) || !Array.isArray(program.instructions)) {
    fail('expected arrays "dims", "tensors" and "instructions"');
  }
  const dims = new Set(program.dims);
  for (const dim of dims) {
    if (typeof dim !== "string" || !isDimName(dim)) fail(`expected a dim's name but received ${JSON.stringify(dim)}`);
  }
  const specs = new Map<string, TensorSpec>();
  for (const tensor of program.tensors) {
    const name = tensor?.name;
    if (typeof name !== "string" || name === "") fail('a tensor without "name"');
    if (specs.has(name)) fail(`tensor "${name}" is defined twice`);
    if (!DTYPES.includes(tensor.dtype)) fail(`tensor "${name}" has unknown dtype ${JSON.stringify(tensor.dtype)}`);
    if (!ROLES.includes(tensor.role)) fail(`tensor "${name}" has unknown role ${JSON.stringify(tensor.role)}`);
    if (!Array.isArray(tensor.shape) || tensor.shape.length > 2)
      fail(`tensor "${name}" needs a shape of at most 2 axes`);
    for (const dim of tensor.shape.flatMap(dimNames))
      if (!dims.has(dim)) fail(`tensor "${name}" has unknown dim "${dim}"`);
    if (STORED_ROLES.has(tensor.role) && !tensor.shape.every((dim) => typeof dim === "number")) {
      fail(`tensor "${name}" is stored and needs a shape of numbers`);
    }
    specs.set(name, tensor);
  }
  const written = new Set<string>();
  program.instructions.forEach((instruction, index) => {
    const where = `instruction ${index} (${instruction?.op})`;
    if (typeof instruction?.op !== "string") fail(`instruction ${index} has no "op"`);
    for (const part of ["inputs", "outputs", "attributes"] as const) {
      const given: unknown = instruction[part];
      if (typeof given !== "object" || given === null || Array.isArray(given)) fail(`${where} has no "${part}"`);
    }
    for (const [name, attribute] of Object.entries(instruction.attributes)) {
      if (["number", "boolean", "string"].includes(typeof attribute)) continue;
      fail(`${where} has attribute "${name}" that is no number, flag or text`);
    }
    for (const name of namesIn(instruction.inputs)) {
      const spec = specs.get(name) ?? fail(`${where} reads undefined tensor "${name}"`);
      const produced = spec.role === "temporary" || spec.role === "output";
      if (produced && !written.has(name)) fail(`${where} reads "${name}" before it is written`);
    }
    for (const name of namesIn(instruction.outputs)) {
      const spec = specs.get(name) ?? fail(`${where} writes undefined tensor "${name}"`);
      if (spec.role === "input" || spec.role === "constant") fail(`${where} writes ${spec.role} "${name}"`);
      if (!STORED_ROLES.has(spec.role) && written.has(name)) fail(`${where} writes "${name}" a second time`);
      written.add(name);
    }
  });
  for (const spec of specs.values()) {
    if (spec.role === "output" && !written.has(spec.name)) fail(`output "${spec.name}" is never written`);
  }
  return program;
}

/**
 * The part of a Program that some of its outputs need: other outputs, the instructions that only they needed and the
 * tensors that nothing refers to any more are left out. Instructions that write parameters or optimizer state stay.
 */
export function selectOutputs(program: Program, outputs: readonly string[]): Program {
  const specs = tensorsByName(program);
  for (const name of outputs) {
    if (specs.get(name)?.role !== "output") throw new ShortlistError("ERR_PROGRAM", `Program has no output "${name}"`);
  }
  const needed = new Set(outputs);
  const kept: Instruction[] = [];
  for (const instruction of program.instructions.toReversed()) {
    const writes = namesIn(instruction.outputs);
    const updates = writes.some((name) => STORED_ROLES.has(specs.get(name)!.role));
    if (!updates && !writes.some((name) => needed.has(name))) continue;
    for (const name of namesIn(instruction.inputs)) needed.add(name);
    kept.push(instruction);
  }
  kept.reverse();
  const used = new Set(
    kept.flatMap((instruction) => [...namesIn(instruction.inputs), ...namesIn(instruction.outputs)]),
  );
  const wanted = new Set(outputs);
  const tensors = program.tensors
    .filter((tensor) => used.has(tensor.name))
    .map((tensor) =>
      tensor.role === "output" && !wanted.has(tensor.name) ? { ...tensor, role: "temporary" as const } : tensor,
    );
  const dims = new Set(tensors.flatMap((tensor) => tensor.shape.flatMap(dimNames)));
  return { ...program, dims: program.dims.filter((dim) => dims.has(dim)), tensors, instructions: kept };
}
