import type { Dim } from "../graph/dims.js";
import type { InputSlot, ShapeOperands } from "../graph/graph.js";
import { type KernelCall, refuse, refuseComputed, type Value } from "./op.js";

/*
 * Operands of ops over ranges: sample s has the rows start[s] … end[s] − 1 of some tensor. Ranges may be empty and may
 * overlap.
 */

/** The input slots of ranges. */
export const RANGE_INPUTS = {
  start: { dtype: "int32", rank: 1 },
  end: { dtype: "int32", rank: 1 },
} satisfies Record<string, InputSlot>;

/** Shape rule of the ranges: there must be as many ends as starts. Returns their number. */
export function rangeSamples(operands: ShapeOperands): Dim {
  const samples = operands.input("start").shape[0]!;
  operands.expectShape("end", [samples]);
  return samples;
}

/** Refuses ranges that are not within `limit` rows. */
export function checkRanges(call: KernelCall, limit: number): void {
  const [start, end] = [call.input("start"), call.input("end")];
  if (start.rows === 0) return;
  const known = (value: Value): ((i: number) => number) => {
    if (value.given) return (i) => value.data[i]!;
    const { bounds } = value;
    if (!bounds?.consecutive) return refuseComputed(call, value, `ranges within 0 to ${limit}`);
    return (i) => bounds.lowest + i;
  };
  const [starts, ends] = [known(start), known(end)];
  for (let i = 0; i < start.rows; i++) {
    const [from, to] = [starts(i), ends(i)];
    if (from < 0 || to < from || to > limit) {
      refuse(
        call,
        `Expected ranges within 0 to ${limit} in ${start.name}, ${end.name} but received [${from}, ${to}) at ${i}`,
      );
    }
  }
}
