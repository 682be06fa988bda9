import { CaseValues, type OpCase } from "../case.js";

function add(name: string, shape: readonly number[], extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(15);
  return {
    op: "add",
    name,
    operands: { left: values.normal(shape), right: values.normal(shape) },
    differentiate: ["left", "right"],
    tolerance: 1,
    ...extra,
  };
}

export const cases: OpCase[] = [
  add("scalars", []),
  add("none", [0]),
  add("rank 1", [37]),
  add("one more than whole vectors", [33]),
  add("rank 2", [7, 13]),
  add("many, rank 1", [5000]),
  add("typical", [256, 256], { benchmark: true }),
];
