import { ShortlistError } from "../errors.js";
import { type Dim, dimNames, isDimName } from "./dims.js";

/** Type of the elements of a tensor. */
export type Dtype = "float32" | "int32" | "uint32";

/**
 * How a tensor gets its values, and how long it keeps them:
 *
 * - `parameter`: trained, and saved with the model.
 * - `constant`: stored between runs but never changed, such as the noise distribution and its alias table.
 * - `optimizer_state`: stored between steps, but not part of the model.
 * - `input`: passed to each run.
 * - `temporary`: exists within one run.
 * - `output`: returned by each run.
 */
export type Role = "parameter" | "constant" | "optimizer_state" | "input" | "temporary" | "output";

/** Roles of tensors that are in a tensor store between runs. */
export const STORED_ROLES: ReadonlySet<Role> = new Set<Role>(["parameter", "constant", "optimizer_state"]);

/** A tensor of a Program. */
export interface TensorSpec {
  /** Name of the tensor, unique in its Program. */
  readonly name: string;
  /** Type of its elements. */
  readonly dtype: Dtype;
  /** Sizes of its axes, at most two, rows first; `[]` is a scalar. Shapes of stored tensors consist of numbers. */
  readonly shape: readonly Dim[];
  /** How the tensor gets its values, and how long it keeps them. */
  readonly role: Role;
}

/** The operand of one slot of an op: the name of a tensor, or a list of names if the slot takes several. */
export type Operand = string | readonly string[];

/** The value of an attribute of an instruction. */
export type Attribute = number | boolean | string;

/** An op applied to tensors. docs/ops.md lists the ops. */
export interface Instruction {
  /** Name of the op. */
  readonly op: string;
  /** Operands by input slot. */
  readonly inputs: Readonly<Record<string, Operand>>;
  /** Results by output slot. */
  readonly outputs: Readonly<Record<string, Operand>>;
  /** The value of every attribute of the op. */
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** Version of the JSON of a Program. `toProgram` brings older versions up to date. */
export const PROGRAM_VERSION = 2;

/** Slots of ops that were renamed in version 2: former name to current name. */
const RENAMED_SLOTS: ReadonlyMap<string, string> = new Map([["run_offsets", "sequence_offsets"]]);

/**
 * Everything that the engine computes, as plain data: tensors, and the ops that compute them, in order. An instruction
 * may update a `parameter` or `optimizer_state` in place. Every other tensor is written exactly once.
 */
export interface Program {
  /** Identifies the JSON of a Program. */
  readonly format: "shortlist-program";
  /** Version of the format. */
  readonly version: typeof PROGRAM_VERSION;
  /** Names of the sizes that are passed to each run. */
  readonly dims: readonly string[];
  /** All tensors that instructions refer to. */
  readonly tensors: readonly TensorSpec[];
  /** The instructions, in the order in which they run. */
  readonly instructions: readonly Instruction[];
}

/** The names of the tensors of one operand; none if it is undefined. */
export function operandNames(operand: Operand | undefined): readonly string[] {
  if (operand === undefined) return [];
  return typeof operand === "string" ? [operand] : operand;
}

/** The names of the tensors of all operands of an instruction. */
export function namesIn(operands: Readonly<Record<string, Operand>>): string[] {
  return Object.values(operands).flatMap(operandNames);
}

/** The tensors of a Program by name. */
export function tensorsByName(program: Program): Map<string, TensorSpec> {
  return new Map(program.tensors.map((tensor) => [tensor.name, tensor]));
}

/** The tensors that are in a store between runs. Their shapes consist of numbers. */
export function storedTensors(program: Program): readonly (TensorSpec & { readonly shape: readonly number[] })[] {
  return program.tensors.filter(({ role }) => STORED_ROLES.has(role)) as never;
}

/**
 * Formats a Program as JSON with one line for each tensor and instruction, so that two Programs can be compared by
 * lines.
 */
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
 * Parses a Program from JSON. Throws ERR_PROGRAM if it is inconsistent: unknown dtypes, roles or dims, undefined
 * operands, or a temporary that is read before it is written or is written twice. `checkProgram` checks it against the
 * ops.
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
 * Checks that plain data is a consistent Program: known dtypes, roles and dims; every operand defined; every temporary
 * written before it is read, and written once. Executors check op names and operand slots. A Program of an older version
 * is brought up to date.
 */
export function toProgram(value: unknown): Program {
  const fail = (message: string): never => {
    throw new ShortlistError("ERR_PROGRAM", `Program: ${message}`);
  };
  const given = value as Omit<Program, "version"> & { readonly version: number };
  if (given?.format !== "shortlist-program") fail('expected "format": "shortlist-program"');
  if (given.version !== 1 && given.version !== PROGRAM_VERSION) {
    fail(`expected "version": 1 or ${PROGRAM_VERSION} but received ${JSON.stringify(given.version)}`);
  }
  if (!Array.isArray(given.dims) || !Array.isArray(given.tensors) || !Array.isArray(given.instructions)) {
    fail('expected arrays "dims", "tensors" and "instructions"');
  }
  const program = given.version === PROGRAM_VERSION ? (value as Program) : withSlotsRenamed(given, fail);
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

/** Returns a Program of version 1 with the slot names of version 2. */
function withSlotsRenamed(program: Omit<Program, "version">, fail: (message: string) => never): Program {
  const instructions = program.instructions.map((instruction, index) => {
    const given: unknown = instruction?.inputs;
    if (typeof given !== "object" || given === null || Array.isArray(given)) return instruction;
    for (const name of RENAMED_SLOTS.values()) {
      if (Object.hasOwn(given, name)) {
        fail(`instruction ${index} (${instruction.op}) has an input "${name}" before version ${PROGRAM_VERSION}`);
      }
    }
    const inputs = Object.entries(given).map(([slot, operand]) => [RENAMED_SLOTS.get(slot) ?? slot, operand]);
    return { ...instruction, inputs: Object.fromEntries(inputs) };
  });
  return { ...program, version: PROGRAM_VERSION, instructions };
}

/**
 * Returns the part of a Program that computes some of its outputs, without the other outputs and the instructions and
 * tensors that only they need. Instructions that write parameters or optimizer state stay. Throws ERR_PROGRAM if there
 * is no such output.
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
