import { ShortlistError } from "../errors.js";
import { type Dim, dimNames, formatShape, sameShape } from "./dims.js";
import type { GradientRule } from "./gradients.js";
import type { Attribute, Dtype, Instruction, Operand, Program, Role, TensorSpec } from "./program.js";
import { PROGRAM_VERSION, STORED_ROLES } from "./program.js";

/** A tensor of a graph. It describes values that a run will compute, and has none itself. */
export interface Tensor {
  /** Name of the tensor, unique in its graph. */
  readonly name: string;
  /** Type of its elements. */
  readonly dtype: Dtype;
  /** Sizes of its axes, at most two, rows first; `[]` is a scalar. */
  readonly shape: readonly Dim[];
  /** How the tensor gets its values, and how long it keeps them. */
  readonly role: Role;
}

/** The operand of one slot of an op: a tensor, or a list of tensors if the slot takes several. */
export type TensorOperand = Tensor | readonly Tensor[];

/** Operands by slot. Those of optional slots may be undefined. */
export type OptionalOperands = Readonly<Record<string, TensorOperand | undefined>>;

/** Attributes of an instruction by name. */
export type Attributes = Readonly<Record<string, Attribute>>;

/**
 * The initial values of a stored tensor: zeros, one constant, normal with mean 0 and a standard deviation, uniform from
 * −limit to limit, or the given values [elements]. Random values depend only on the seed and on the tensor's name, so
 * adding a tensor does not change others.
 */
export type Initializer =
  | { readonly kind: "zeros" }
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "normal"; readonly standardDeviation: number }
  | { readonly kind: "uniform"; readonly limit: number }
  | { readonly kind: "values"; readonly values: Float32Array | Int32Array | Uint32Array };

/** What a graph needs to know about an op. `Op` adds what executors need. */
export interface GraphOp {
  /** Name of the op in Programs. */
  readonly name: string;
  /** The operand that each input slot takes. */
  readonly inputs: Readonly<Record<string, InputSlot>>;
  /** The output slots, the main one first. */
  readonly outputs: readonly string[];
  /** The default of each attribute, which also defines its type. */
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** Returns the shape of each output slot of this application, or a list of shapes for a slot with a list. */
  shapes(operands: ShapeOperands): Record<string, OutputShape | readonly OutputShape[]>;
  /** Adds the instructions of the gradient to a graph. An op without it must not be on the path of a gradient. */
  readonly gradient?: GradientRule;
}

/** The operands that an input slot takes. */
export interface InputSlot {
  /** Required dtype. */
  readonly dtype: Dtype;
  /** Required number of axes (default: any number). */
  readonly rank?: number;
  /** Whether the slot may be empty (default false). */
  readonly optional?: boolean;
  /** Whether the slot takes a list of tensors (default false). */
  readonly variadic?: boolean;
}

/** The dtype and shape of an output, or the tensor that is updated in place. */
export type OutputShape = { readonly dtype: Dtype; readonly shape: readonly Dim[] } | { readonly inPlace: Tensor };

/**
 * The operands and attributes of an application of an op, for its shape rule. Throws ERR_GRAPH if something does not
 * fit.
 */
export class ShapeOperands {
  /** Name of the op, with which all messages start. */
  readonly op: string;
  readonly #inputs: Readonly<Record<string, TensorOperand>>;
  readonly #attributes: Readonly<Record<string, Attribute>>;

  constructor(
    op: string,
    inputs: Readonly<Record<string, TensorOperand>>,
    attributes: Readonly<Record<string, Attribute>>,
  ) {
    this.op = op;
    this.#inputs = inputs;
    this.#attributes = attributes;
  }

  /** Whether an input slot has an operand. */
  has(slot: string): boolean {
    return this.#inputs[slot] !== undefined;
  }

  /** Returns the tensor of a slot that takes one tensor and is not empty. */
  input(slot: string): Tensor {
    return this.#inputs[slot] as Tensor;
  }

  /** Returns the tensors of a slot that takes a list; an empty list if the slot is empty. */
  list(slot: string): readonly Tensor[] {
    return (this.#inputs[slot] as readonly Tensor[] | undefined) ?? [];
  }

  /** Returns the value of an attribute, or its default. */
  attribute<T extends Attribute>(name: string): T {
    return this.#attributes[name] as T;
  }

  /** Throws ERR_GRAPH unless the tensor of a slot has this shape. */
  expectShape(slot: string, expected: readonly Dim[]): void {
    const tensor = this.input(slot);
    if (!sameShape(tensor.shape, expected)) this.failShape(slot, formatShape(expected), tensor);
  }

  /** Throws ERR_GRAPH because `tensor` does not have the shape that `expected` describes. */
  failShape(slot: string, expected: string, tensor: Tensor): never {
    throw new ShortlistError(
      "ERR_GRAPH",
      `[${this.op}] Expected ${slot} ${expected} but received ${tensor.name} ${formatShape(tensor.shape)}`,
    );
  }

  /** Throws ERR_GRAPH with this message after the op's name. */
  fail(message: string): never {
    throw new ShortlistError("ERR_GRAPH", `[${this.op}] ${message}`);
  }
}

/** An application of an op in a graph. It becomes an instruction of the Program. */
export interface Node {
  /** The op. */
  readonly op: GraphOp;
  /** The operands by input slot. */
  readonly inputs: Readonly<Record<string, TensorOperand>>;
  /** The results by output slot, including tensors that are updated in place. */
  readonly outputs: Readonly<Record<string, Tensor | readonly Tensor[]>>;
  /** The attributes, including defaults. */
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/**
 * Builds a Program: define tensors, apply ops to them, add `gradients`, mark outputs, and call `toProgram`. Tensor
 * names are unique, and the outputs of an op are named after the name given to `apply`. The call that adds something
 * that does not fit throws ERR_GRAPH.
 */
export class Graph {
  readonly #tensors = new Map<string, Tensor>();
  readonly #initializers = new Map<string, Initializer>();
  readonly #nodes: Node[] = [];
  readonly #outputs = new Map<string, Tensor>();

  /** The applications of ops so far, in order. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** Defines a tensor that is passed to each run. The sizes of dims in its shape are passed to each run too. */
  input(name: string, dtype: Dtype, shape: readonly Dim[]): Tensor {
    return this.#define({ name, dtype, shape, role: "input" });
  }

  /** Defines a float32 tensor that is trained. It is stored between runs and saved with the model. */
  parameter(name: string, shape: readonly number[], initializer: Initializer): Tensor {
    this.#initializers.set(name, initializer);
    return this.#define({ name, dtype: "float32", shape, role: "parameter" });
  }

  /** Defines a stored tensor that never changes, such as an alias table. */
  constant(name: string, dtype: Dtype, shape: readonly number[], initializer: Initializer): Tensor {
    this.#initializers.set(name, initializer);
    return this.#define({ name, dtype, shape, role: "constant" });
  }

  /** Defines a tensor that is stored between steps but is not part of the model, such as a moment of Adam. */
  optimizerState(name: string, shape: readonly number[], initializer: Initializer, dtype: Dtype = "float32"): Tensor {
    this.#initializers.set(name, initializer);
    return this.#define({ name, dtype, shape, role: "optimizer_state" });
  }

  /** The initial values of the stored tensors by name, for `initializeStore`. */
  get initializers(): ReadonlyMap<string, Initializer> {
    return this.#initializers;
  }

  /** Returns the tensor with this name, or undefined. */
  tensor(name: string): Tensor | undefined {
    return this.#tensors.get(name);
  }

  /**
   * Applies an op whose output slots have one tensor each, and returns these tensors by slot. Checks that all operands
   * are given with the dtype and rank that the op requires, and runs the op's shape rule. The first output is named
   * `name`, the others `name.slot`, with a number appended if the name is taken.
   */
  apply(op: GraphOp, name: string, inputs: OptionalOperands, attributes: Attributes = {}): Record<string, Tensor> {
    return this.#append(op, name, inputs, attributes).outputs as Record<string, Tensor>;
  }

  /** `apply` for an op whose output slots are lists. Their tensors are named `name.0`, `name.1` and so on. */
  applyLists(
    op: GraphOp,
    name: string,
    inputs: OptionalOperands,
    attributes: Attributes = {},
  ): Record<string, readonly Tensor[]> {
    return this.#append(op, name, inputs, attributes).outputs as Record<string, readonly Tensor[]>;
  }

  /** Marks a computed tensor as an output of the Program with this name. Every run returns it. */
  output(name: string, tensor: Tensor): void {
    if (tensor.role !== "temporary") {
      throw new ShortlistError(
        "ERR_GRAPH",
        `Expected output "${name}" to be computed but "${tensor.name}" is ${tensor.role}`,
      );
    }
    if (this.#outputs.has(name)) throw new ShortlistError("ERR_GRAPH", `Output "${name}" is defined twice`);
    for (const [other, { name: taken }] of this.#outputs) {
      if (taken === tensor.name) throw new ShortlistError("ERR_GRAPH", `Output "${name}" is output "${other}" already`);
    }
    const namesake = this.#tensors.get(name);
    if (namesake && namesake !== tensor) {
      throw new ShortlistError("ERR_GRAPH", `Output "${name}" has the name of another tensor`);
    }
    this.#outputs.set(name, tensor);
  }

  /**
   * Returns the Program of all nodes that the outputs and the in-place updates need, in the order in which they were
   * applied. Output tensors take the names of the outputs.
   */
  toProgram(): Program {
    const outputNames = new Map([...this.#outputs].map(([name, tensor]) => [tensor.name, name]));
    const rename = (tensor: Tensor) => outputNames.get(tensor.name) ?? tensor.name;
    const needed = new Set([...this.#outputs.values()].map((tensor) => tensor.name));
    const kept: Node[] = [];
    for (const node of this.#nodes.toReversed()) {
      const writes = Object.values(node.outputs).flat() as Tensor[];
      if (!writes.some((tensor) => needed.has(tensor.name) || STORED_ROLES.has(tensor.role))) continue;
      for (const tensor of Object.values(node.inputs).flat() as Tensor[]) needed.add(tensor.name);
      for (const tensor of writes) needed.add(tensor.name);
      kept.push(node);
    }
    kept.reverse();
    const tensors: TensorSpec[] = [...this.#tensors.values()]
      .filter((tensor) => needed.has(tensor.name))
      .map((tensor) => ({
        name: rename(tensor),
        dtype: tensor.dtype,
        shape: tensor.shape,
        role: outputNames.has(tensor.name) ? ("output" as const) : tensor.role,
      }));
    const names = (operands: Readonly<Record<string, TensorOperand>>): Record<string, Operand> =>
      Object.fromEntries(
        Object.entries(operands).map(([slot, operand]) => [
          slot,
          Array.isArray(operand) ? operand.map(rename) : rename(operand as Tensor),
        ]),
      );
    const instructions: Instruction[] = kept.map((node) => ({
      op: node.op.name,
      inputs: names(node.inputs),
      outputs: names(node.outputs),
      attributes: node.attributes,
    }));
    const dims = [...new Set(tensors.flatMap((tensor) => tensor.shape.flatMap(dimNames)))].sort();
    return { format: "shortlist-program", version: PROGRAM_VERSION, dims, tensors, instructions };
  }

  #append(op: GraphOp, name: string, inputs: OptionalOperands, attributes: Attributes): Node {
    const present = checkInputs(op, inputs);
    this.#checkOwn(op, present);
    for (const key of Object.keys(attributes)) {
      if (!(key in op.attributes)) throw new ShortlistError("ERR_GRAPH", `[${op.name}] Unknown attribute "${key}"`);
    }
    const allAttributes = { ...op.attributes, ...attributes };
    const shapes = op.shapes(new ShapeOperands(op.name, present, allAttributes));
    const outputs: Record<string, Tensor | readonly Tensor[]> = {};
    op.outputs.forEach((slot, index) => {
      const output = shapes[slot];
      if (output === undefined) return;
      const scope = index === 0 ? name : `${name}.${slot}`;
      outputs[slot] = Array.isArray(output)
        ? output.map((member: OutputShape, i) => this.#produce(`${scope}.${i}`, member))
        : this.#produce(scope, output as OutputShape);
    });
    const node = { op, inputs: present, outputs, attributes: allAttributes };
    this.#nodes.push(node);
    return node;
  }

  #produce(name: string, output: OutputShape): Tensor {
    if ("inPlace" in output) return output.inPlace;
    return this.#define({ name: this.#freeName(name), dtype: output.dtype, shape: output.shape, role: "temporary" });
  }

  #define(tensor: Tensor): Tensor {
    if (this.#tensors.has(tensor.name) || this.#outputs.has(tensor.name)) {
      throw new ShortlistError("ERR_GRAPH", `Tensor "${tensor.name}" is defined twice`);
    }
    if (tensor.shape.length > 2) {
      throw new ShortlistError(
        "ERR_GRAPH",
        `Tensor "${tensor.name}" has more than 2 axes: ${formatShape(tensor.shape)}`,
      );
    }
    this.#tensors.set(tensor.name, tensor);
    return tensor;
  }

  #freeName(name: string): string {
    let free = name;
    for (let suffix = 2; this.#tensors.has(free) || this.#outputs.has(free); suffix++) free = `${name}_${suffix}`;
    return free;
  }

  #checkOwn(op: GraphOp, inputs: Readonly<Record<string, TensorOperand>>): void {
    for (const [slot, operand] of Object.entries(inputs)) {
      for (const tensor of [operand].flat() as Tensor[]) {
        if (this.#tensors.get(tensor.name) === tensor) continue;
        throw new ShortlistError("ERR_GRAPH", `[${op.name}] Input "${slot}" (${tensor.name}) is from another graph`);
      }
    }
  }
}

/**
 * Returns the given operands after checking that all required ones are there with the right dtype and rank. Throws
 * ERR_GRAPH otherwise.
 */
export function checkInputs(op: GraphOp, inputs: OptionalOperands): Record<string, TensorOperand> {
  const present: Record<string, TensorOperand> = {};
  const fail = (message: string): never => {
    throw new ShortlistError("ERR_GRAPH", `[${op.name}] ${message}`);
  };
  for (const slot of Object.keys(inputs)) if (!Object.hasOwn(op.inputs, slot)) fail(`Unknown input "${slot}"`);
  for (const [slot, rule] of Object.entries(op.inputs)) {
    const operand = inputs[slot];
    const tensors = operand === undefined ? [] : ([operand].flat() as Tensor[]);
    if (tensors.length === 0) {
      if (rule.optional) continue;
      fail(`Missing input "${slot}"`);
    }
    if (Array.isArray(operand) !== (rule.variadic === true)) {
      fail(`Expected ${rule.variadic ? "a list" : "one tensor"} for "${slot}"`);
    }
    for (const tensor of tensors) {
      if (tensor.dtype !== rule.dtype) {
        fail(`Expected ${slot} of ${rule.dtype} but received ${tensor.name} of ${tensor.dtype}`);
      }
      if (rule.rank !== undefined && tensor.shape.length !== rule.rank) {
        fail(`Expected ${slot} with ${rule.rank} axes but received ${tensor.name} ${formatShape(tensor.shape)}`);
      }
    }
    present[slot] = operand as TensorOperand;
  }
  return present;
}
