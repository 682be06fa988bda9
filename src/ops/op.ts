import { ShortlistError } from "../errors.js";
import type { GraphOp } from "../graph/graph.js";
import type { Attribute, Dtype } from "../graph/program.js";

/** The elements of a float32 tensor; float64 in a reference engine of that precision. */
export type FloatArray = Float32Array | Float64Array;
/** The elements of an int32 or a uint32 tensor. */
export type IntegerArray = Int32Array | Uint32Array;
/** The elements of a tensor, row-major. */
export type TensorData = FloatArray | IntegerArray;

/** What is known of the numbers of an int32 tensor before they are computed. */
export interface Bounds {
  /** No number is below this. */
  readonly lowest: number;
  /** No number is above this. */
  readonly highest: number;
  /** Whether number i is lowest + i. */
  readonly consecutive: boolean;
}

/**
 * A tensor with its numbers, as a reference kernel sees it: a matrix [rows, columns], row-major. A tensor of one axis
 * has one column, a scalar one row and one column.
 */
export interface Value {
  /** The tensor's name, for messages. */
  readonly name: string;
  /** What the elements are. */
  readonly dtype: Dtype;
  /** The shape in this run. */
  readonly shape: readonly number[];
  /** The size of the first axis, 1 where there is none. */
  readonly rows: number;
  /** The size of the second axis, 1 where there is none. */
  readonly columns: number;
  /** The elements [rows × columns]. */
  readonly data: TensorData;
  /**
   * Whether it is given to the run, as an input or a constant is, rather than computed in it. Checks read only such
   * ones.
   */
  readonly given: boolean;
  /** What the op that computes it has promised. */
  bounds?: Bounds;
  /** The instruction that computes it. */
  maker?: KernelCall;
}

/** The operands of one instruction in one run. */
export interface KernelCall {
  /** The op's name. */
  readonly op: string;
  /** Whether an input or output slot is filled. */
  has(slot: string): boolean;
  /** The tensor of an input slot. */
  input(slot: string): Value;
  /** The tensors of an input slot: none where it is empty, one where it takes one. */
  list(slot: string): readonly Value[];
  /** The tensor of an output slot. */
  output(slot: string): Value;
  /** The tensors of an output slot. */
  outputList(slot: string): readonly Value[];
  /** The value of an attribute. */
  attribute<T extends Attribute>(name: string): T;
}

/** The work that an instruction cannot avoid. */
export interface Cost {
  /** Floating-point operations; a multiply-add counts as two. */
  readonly flops: number;
  /** Bytes that are read or written, each once. */
  readonly bytes: number;
}

/** The sizes of an instruction's operands, for counting its work. */
export interface CostCall {
  /** Whether an input or output slot is filled. */
  has(slot: string): boolean;
  /** The rows and columns of an input slot's tensor. */
  input(slot: string): { readonly rows: number; readonly columns: number };
  /** The rows and columns of each tensor of an input slot. */
  list(slot: string): readonly { readonly rows: number; readonly columns: number }[];
  /** The rows and columns of an output slot's tensor. */
  output(slot: string): { readonly rows: number; readonly columns: number };
  /** The value of an attribute. */
  attribute<T extends Attribute>(name: string): T;
}

/**
 * An op: its operands, shape rule and gradient rule (`GraphOp`), and what it means (`reference`).
 * The native kernel of the same name in `native/ops` is held against `reference`.
 */
export interface Op extends GraphOp {
  /**
   * Refuses ids and ranges out of bounds, and indices of which nothing is known. Promises what the op's own int32
   * outputs will hold: an output without a promise is refused as an index. Every instruction's check runs, in order,
   * before the first kernel does, so a refused run has changed nothing.
   */
  readonly check?: (call: KernelCall) => void;
  /**
   * The textbook: plain loops, sums in float64. Every output is overwritten (`=`) unless the op updates it in place.
   */
  readonly reference: (call: KernelCall) => void;
  /** The work that it cannot avoid for operands of these sizes. */
  readonly cost: (call: CostCall) => Cost;
}

export function refuse(call: KernelCall, message: string, code: "ERR_INPUT" | "ERR_PROGRAM" = "ERR_INPUT"): never {
  throw new ShortlistError(code, `[${call.op}] ${message}`);
}

export function refuseComputed(call: KernelCall, { name }: Value, what: string): never {
  refuse(call, `Expected ${what} in ${name} but nothing is known of what it will hold`, "ERR_PROGRAM");
}

/** What an int32 output will hold, for the checks of the instructions that read it. */
export function promise(call: KernelCall, slot: string, lowest: number, highest: number): void {
  if (lowest <= highest) call.output(slot).bounds = { lowest, highest, consecutive: false };
}

/** An output will hold first, first + 1, … */
export function promiseConsecutive(call: KernelCall, slot: string, first: number): void {
  const output = call.output(slot);
  output.bounds = { lowest: first, highest: first + output.rows - 1, consecutive: true };
}

/** Every id of `slot` (of each tensor, where the slot is a list) lies in `first` to `limit − 1`. */
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

/** Offsets are given, start at 0, never fall and end at `limit`. */
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

/** The `sort_rows` instruction that has this tensor as its output `slot`. */
export function sortThatMade(value: Value, slot: string): KernelCall | undefined {
  const { maker } = value;
  return maker?.op === "sort_rows" && maker.output(slot) === value ? maker : undefined;
}
