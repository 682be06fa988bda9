import { CaseValues, float32, mixedTerms, type OpCase, termLimits, termOperands } from "../case.js";

function rows(name: string, shape: readonly number[], n: number, extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(22);
  const terms = termOperands(mixedTerms(values, shape[0]!, shape[1] ?? 1, n));
  return {
    op: "rowwise_adagrad_rows",
    name,
    operands: {
      parameter: values.normal(shape),
      accumulator: values.uniform([shape[0]!], 0, 3),
      learning_rate: float32([], [0.1]),
      ...terms.operands,
    },
    attributes: { epsilon: 1e-6, ...terms.attributes },
    limits: termLimits(shape[0]!, terms.operands),
    ...extra,
  };
}

export const cases: OpCase[] = [
  rows("odd sizes", [11, 7], 13),
  rows("rank 1", [11], 13),
  rows("one row", [1, 1], 1),
  rows("wide", [31, 64], 5),
  rows("a column more than whole vectors", [31, 33], 9),
  rows("odd width, many ids", [31, 100], 23),
  rows("typical", [20_000, 64], 600, { benchmark: true }),
];
