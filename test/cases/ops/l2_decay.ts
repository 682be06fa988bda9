import { CaseValues, type OpCase } from "../case.js";

function decay(name: string, shape: readonly number[], extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(16);
  return {
    op: "l2_decay",
    name,
    operands: { gradient: values.normal(shape), parameter: values.normal(shape) },
    attributes: { l2: 0.03 },
    tolerance: 2,
    ...extra,
  };
}

export const cases: OpCase[] = [
  decay("none", [0, 3]),
  decay("rank 1", [37]),
  decay("one more than whole vectors", [33]),
  decay("rank 2", [7, 13]),
  decay("many, rank 1", [5000]),
  decay("typical", [256, 256], { benchmark: true }),
];
