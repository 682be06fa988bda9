import { CaseValues, type OpCase } from "../case.js";

function mean(name: string, n: number, extra: Partial<OpCase> = {}): OpCase {
  return {
    op: "mean",
    name,
    operands: { input: new CaseValues(14).uniform([n], 0.5, 2) },
    differentiate: ["input"],
    ...extra,
  };
}

export const cases: OpCase[] = [
  mean("none", 0),
  mean("one", 1),
  mean("odd", 37),
  mean("one more than whole vectors", 33),
  mean("whole vectors", 256),
  mean("many", 5000),
  mean("typical", 4096, { benchmark: true }),
];
