import { CaseValues, float32, mixedTerms, type OpCase, termLimits, termOperands } from "../case.js";

function dense(name: string, shape: readonly number[], extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(18);
  return {
    op: "sgd",
    name,
    operands: {
      parameter: values.normal(shape),
      gradient: values.normal(shape),
      learning_rate: float32([], [0.05]),
    },
    ...extra,
  };
}

function rows(name: string, shape: readonly number[], n: number, extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(19);
  const terms = termOperands(mixedTerms(values, shape[0]!, shape[1] ?? 1, n));
  return {
    op: "sgd_rows",
    name,
    operands: { parameter: values.normal(shape), learning_rate: float32([], [0.05]), ...terms.operands },
    attributes: terms.attributes,
    limits: termLimits(shape[0]!, terms.operands),
    ...extra,
  };
}

export const cases: OpCase[] = [
  dense("rank 1", [37]),
  dense("one more than whole vectors", [33]),
  dense("rank 2", [7, 13]),
  dense("typical", [256, 256], { benchmark: true }),
  rows("odd sizes", [11, 7], 13),
  rows("rank 1", [11], 13),
  rows("one row", [1, 1], 1),
  rows("wide", [31, 64], 5),
  rows("a column more than whole vectors", [31, 33], 9),
  rows("odd width, many ids", [31, 100], 23),
  rows("typical", [20_000, 64], 600, { benchmark: true }),
];
