import { CaseValues, type OpCase } from "../case.js";

function multiply(name: string, shape: readonly number[], extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(16);
  return {
    op: "multiply",
    name,
    operands: { left: values.normal(shape), right: values.normal(shape) },
    differentiate: ["left", "right"],
    tolerance: 1,
    ...extra,
  };
}

export const cases: OpCase[] = [
  multiply("scalars", []),
  multiply("none", [0]),
  multiply("rank 1", [37]),
  multiply("one more than whole vectors", [33]),
  multiply("rank 2", [7, 13]),
  multiply("many, rank 1", [5000]),
  multiply("typical", [256, 256], { benchmark: true }),
];
