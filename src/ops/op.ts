import { ShortlistError } from "../errors.js";
import type { GraphOp } from "../graph/graph.js";
import type { Attribute, Dtype } from "../graph/program.js";

/** Elements of a float32 tensor. They are float64 in a reference engine of that precision. */
export type FloatArray = Float32Array | Float64Array;
/** Elements of an int32 or uint32 tensor. */
export type IntegerArray = Int32Array | Uint32Array;
/** Elements of a tensor, row-major. */
export type TensorData = FloatArray | IntegerArray;

/** What is known of the values of an int32 tensor before they are computed. */
export interface Bounds {
  /** The values are at least this. */
  readonly lowest: number;
  /** The values are at most this. */
  readonly highest: number;
  /** Whether value i is lowest + i. */
  readonly consecutive: boolean;
}

/**
 * A tensor with its values, for a reference kernel: a matrix [rows, columns], row-major. A tensor with one axis has one
 * column; a scalar has one row and one column.
 */
export interface Value {
  /** Name of the tensor, for messages. */
  readonly name: string;
  /** Type of its elements. */
  readonly dtype: Dtype;
  /** Shape in this run. */
  readonly shape: readonly number[];
  /** Size of the first axis; 1 for a scalar. */
  readonly rows: number;
  /** Size of the second axis; 1 for tensors with fewer axes. */
  readonly columns: number;
  /** The elements [rows × columns]. */
  readonly data: TensorData;
  /**
   * Whether the values exist before the run, as those of inputs and constants, instead of being computed in it. Checks
   * can read only such values.
   */
  readonly given: boolean;
  /** The bounds that the op that computes the values has promised. */
  bounds?: Bounds;
  /** The instruction that computes the values. */
  maker?: KernelCall;
}

/** The operands of an instruction in a run. */
export interface KernelCall {
  /** Name of the op. */
  readonly op: string;
  /** Whether an input or output slot has an operand. */
  has(slot: string): boolean;
  /** Returns the tensor of an input slot. */
  input(slot: string): Value;
  /** Returns the tensors of an input slot: none if it is empty, one if it takes one. */
  list(slot: string): readonly Value[];
  /** Returns the tensor of an output slot. */
  output(slot: string): Value;
  /** Returns the tensors of an output slot. */
  outputList(slot: string): readonly Value[];
  /** Returns the value of an attribute. */
  attribute<T extends Attribute>(name: string): T;
}

/** The least work that an instruction can take. */
export interface Cost {
  /** Floating-point operations; a multiply-add counts as two. */
  readonly flops: number;
  /** Bytes that are read or written, each counted once. */
  readonly bytes: number;
}

/** The sizes of an instruction's operands, for its cost. */
export interface CostCall {
  /** Whether an input or output slot has an operand. */
  has(slot: string): boolean;
  /** Returns the rows and columns of the tensor of an input slot. */
  input(slot: string): { readonly rows: number; readonly columns: number };
  /** Returns the rows and columns of each tensor of an input slot. */
  list(slot: string): readonly { readonly rows: number; readonly columns: number }[];
  /** Returns the rows and columns of the tensor of an output slot. */
  output(slot: string): { readonly rows: number; readonly columns: number };
  /** Returns the value of an attribute. */
  attribute<T extends Attribute>(name: string): T;
}

/**
 * An op: its operands, shape rule and gradient rule (`GraphOp`), and its reference kernel, which defines the results.
 * Tests compare the native kernel of the same name in `native/ops` with it.
 */
export interface Op extends GraphOp {
  /**
   * Throws ERR_INPUT if an id or range is out of bounds, and ERR_PROGRAM for an index of which nothing is known.
   * Promises bounds for the op's own int32 outputs; an output without a promise cannot serve as an index. The checks of
   * all instructions run, in order, before the first kernel, so that a refused run changes nothing.
   */
  readonly check?: (call: KernelCall) => void;
  /**
   * The reference kernel: plain loops, and sums in float64. It overwrites every output that is not updated in place.
   */
  readonly reference: (call: KernelCall) => void;
  /** Returns the least work for operands of these sizes. */
  readonly cost: (call: CostCall) => Cost;
}

/** Throws the error of a check, with the op's name in front. */
export function refuse(call: KernelCall, message: string, code: "ERR_INPUT" | "ERR_PROGRAM" = "ERR_INPUT"): never {
  throw new ShortlistError(code, `[${call.op}] ${message}`);
}

/** Throws ERR_PROGRAM because `what` is required of a tensor that is computed in the run without a promise. */
export function refuseComputed(call: KernelCall, { name }: Value, what: string): never {
  refuse(call, `Expected ${what} in ${name} but nothing is known of what it will hold`, "ERR_PROGRAM");
}

/** Promises bounds of an int32 output, for the checks of the instructions that read it. */
export function promise(call: KernelCall, slot: string, lowest: number, highest: number): void {
  if (lowest <= highest) call.output(slot).bounds = { lowest, highest, consecutive: false };
}

/** Promises that an output will hold first, first + 1, …. */
export function promiseConsecutive(call: KernelCall, slot: string, first: number): void {
  const output = call.output(slot);
  output.bounds = { lowest: first, highest: first + output.rows - 1, consecutive: true };
}

/** Refuses ids of `slot` (of each tensor, if the slot takes a list) that are not from `first` to `limit − 1`. */
export function checkIds(call: KernelCall, slot: string, limit: number, first = 0): void {
  for (const ids of call.list(slot)) checkIdsValue(call, ids, limit, first);
}

function checkIdsValue(call: KernelCall, ids: Value, limit: number, first: number): void {
  const { given, data, name, bounds } = ids;
  if (data.length === 0) return;
  const expected = `ids of ${first} to ${limit - 1}`;
  if (!given) {
    if (!bounds) refuseComputed(call, ids, expected);
    const { lowest, highest } = bounds;
    if (lowest >= first && highest < limit) return;
    refuse(call, `Expected ${expected} in ${name} but it will hold ids of ${lowest} to ${highest}`);
  }
  for (let i = 0; i < data.length; i++) {
    const id = data[i]!;
    if (id < first || id >= limit) refuse(call, `Expected ${expected} in ${name} but received ${id} at ${i}`);
  }
}

/** Refuses offsets that are computed, do not start with 0, fall, or do not end with `limit`. */
export function checkOffsets(call: KernelCall, slot: string, limit: number): void {
  checkOffsetsValue(call, call.input(slot), limit);
}

/** `checkOffsets` for one tensor of a list slot. */
export function checkOffsetsValue(call: KernelCall, offsets: Value, limit: number): void {
  const { given, data, name } = offsets;
  if (!given) refuseComputed(call, offsets, `offsets from 0 to ${limit}`);
  if (data.length === 0) refuse(call, `Expected ${name} to hold at least one offset`);
  if (data[0] !== 0) refuse(call, `Expected ${name} to start with 0 but received ${data[0]}`);
  for (let i = 1; i < data.length; i++) {
    if (data[i]! < data[i - 1]!)
      refuse(call, `Expected rising offsets in ${name} but received ${data[i]} after ${data[i - 1]}`);
  }
  if (data[data.length - 1] !== limit) {
    refuse(call, `Expected ${name} to end with ${limit} but received ${data[data.length - 1]}`);
  }
}

/** Returns the `sort_rows` instruction whose output `slot` is this tensor, or undefined. */
export function sortThatMade(value: Value, slot: string): KernelCall | undefined {
  const { maker } = value;
  return maker?.op === "sort_rows" && maker.output(slot) === value ? maker : undefined;
}
