import { ShortlistError } from "../errors.js";
import type { GraphOp } from "../graph/graph.js";
import type { Attribute, Dtype } from "../graph/program.js";

export type FloatArray = Float32Array | Float64Array;
export type IntegerArray = Int32Array | Uint32Array;
export type TensorData = FloatArray | IntegerArray;

/** A tensor with its numbers, as a reference kernel sees it: row-major [rows, columns]; rank 1 has one column, a scalar one row too. */
export interface Value {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly rows: number;
  readonly columns: number;
  readonly data: TensorData;
  /** Given to the run rather than computed in it: a graph input or a constant. Checks read these only. */
  readonly given: boolean;
}

/** The operands of one instruction in one run. */
export interface KernelCall {
  readonly op: string;
  has(slot: string): boolean;
  input(slot: string): Value;
  /** The tensors of a slot: none where it is left out, one where it is no list. */
  list(slot: string): readonly Value[];
  output(slot: string): Value;
  outputList(slot: string): readonly Value[];
  attribute<T extends Attribute>(name: string): T;
}

/** Work that an instruction cannot avoid: floating-point operations (a multiply-add is two) and bytes read or written once. */
export interface Cost {
  readonly flops: number;
  readonly bytes: number;
}

/** Rows and columns of the operands for given dims, for `cost`. */
export interface CostCall {
  has(slot: string): boolean;
  input(slot: string): { readonly rows: number; readonly columns: number };
  list(slot: string): readonly { readonly rows: number; readonly columns: number }[];
  output(slot: string): { readonly rows: number; readonly columns: number };
  attribute<T extends Attribute>(name: string): T;
}

/**
 * An op: its operands, shape rule and gradient rule (`GraphOp`), and what it means (`reference`).
 * The native kernel of the same name in `native/ops` is held against `reference`.
 */
export interface Op extends GraphOp {
  /**
   * Refuses ids and ranges out of bounds. Every instruction's check runs before the first kernel does, so a refused run
   * has changed nothing.
   */
  readonly check?: (call: KernelCall) => void;
  /** The textbook: plain loops, sums in float64. Every output is overwritten (`=`) unless the op updates it in place. */
  readonly reference: (call: KernelCall) => void;
  readonly cost: (call: CostCall) => Cost;
}

function refuse(call: KernelCall, message: string): never {
  throw new ShortlistError("ERR_INPUT", `[${call.op}] ${message}`);
}

/** Every id of `slot` (of each tensor, where the slot is a list) lies in `first` to `limit − 1`. */
export function checkIds(call: KernelCall, slot: string, limit: number, first = 0): void {
  for (const { given, data, name } of call.list(slot)) {
    if (!given) continue;
    for (let i = 0; i < data.length; i++) {
      const id = data[i]!;
      if (id < first || id >= limit) {
        refuse(call, `Expected ids of ${first} to ${limit - 1} in ${name} but received ${id} at ${i}`);
      }
    }
  }
}

/** Every range [start, end) lies within `limit` rows. Empty ranges are fine. */
export function checkRanges(call: KernelCall, startSlot: string, endSlot: string, limit: number): void {
  const start = call.input(startSlot);
  const end = call.input(endSlot);
  if (!start.given || !end.given) return;
  for (let i = 0; i < start.data.length; i++) {
    const [from, to] = [start.data[i]!, end.data[i]!];
    if (from < 0 || to < from || to > limit) {
      refuse(
        call,
        `Expected ranges within 0 to ${limit} in ${start.name}, ${end.name} but received [${from}, ${to}) at ${i}`,
      );
    }
  }
}

/** Offsets start at 0, never fall and end at `limit`. */
export function checkOffsets(call: KernelCall, slot: string, limit: number): void {
  checkOffsetsValue(call, call.input(slot), limit);
}

/** `checkOffsets` for one tensor of a list slot. */
export function checkOffsetsValue(call: KernelCall, offsets: Value, limit: number): void {
  const { given, data, name } = offsets;
  if (!given) return;
  if (data[0] !== 0) refuse(call, `Expected ${name} to start with 0 but received ${data[0]}`);
  for (let i = 1; i < data.length; i++) {
    if (data[i]! < data[i - 1]!)
      refuse(call, `Expected rising offsets in ${name} but received ${data[i]} after ${data[i - 1]}`);
  }
  if (data[data.length - 1] !== limit) {
    refuse(call, `Expected ${name} to end with ${limit} but received ${data[data.length - 1]}`);
  }
}
