import { listName } from "./build_case.js";
import type { CaseTensor, OpCase } from "./case.js";

/** A number that an op must refuse as the last element of an operand. */
export interface BadNumber {
  readonly slot: string;
  /** The operand's name in the case's graph; for a list, the name of its first tensor. */
  readonly tensor: string;
  readonly value: number;
}

/** The bad numbers of a case, from its `limits`: −1, and the smallest number that is too large. */
export function badNumbers(opCase: OpCase): BadNumber[] {
  return Object.entries(opCase.limits ?? {}).flatMap(([slot, limit]) => {
    const operand = opCase.operands[slot]!;
    const isList = Array.isArray(operand);
    const { values } = (isList ? operand[0] : operand) as CaseTensor;
    if (values.length === 0) return [];
    return [-1, limit].map((value) => ({ slot, tensor: isList ? listName(slot, 0) : slot, value }));
  });
}

/** A copy of the case with a bad number in it. */
export function withBadNumber(opCase: OpCase, { slot, value }: BadNumber): OpCase {
  const operand = opCase.operands[slot]!;
  const tensors = [operand].flat() as CaseTensor[];
  const values = tensors[0]!.values.slice();
  values[values.length - 1] = value;
  const { dtype, shape } = tensors[0]!;
  const changed = { dtype, shape, values };
  return {
    ...opCase,
    name: `${opCase.name}: ${slot} holds ${value}`,
    operands: { ...opCase.operands, [slot]: Array.isArray(operand) ? [changed, ...tensors.slice(1)] : changed },
  };
}
