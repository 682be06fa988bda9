import { CaseValues, type OpCase } from "../case.js";

function sum(name: string, n: number, extra: Partial<OpCase> = {}): OpCase {
  return {
    op: "sum",
    name,
    operands: { input: new CaseValues(14).uniform([n], 0.5, 2) },
    differentiate: ["input"],
    ...extra,
  };
}

export const cases: OpCase[] = [
  sum("none", 0),
  sum("one", 1),
  sum("odd", 37),
  sum("one more than whole vectors", 33),
  sum("whole vectors", 256),
  sum("many", 5000),
  sum("typical", 4096, { benchmark: true }),
];
