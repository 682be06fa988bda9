import { CaseValues, float32, mixedTerms, type OpCase, termLimits, termOperands, uint32 } from "../case.js";

function state(values: CaseValues, shape: readonly number[], step: number) {
  return {
    parameter: values.normal(shape),
    first_moment: values.normal(shape, 0.5),
    second_moment: values.uniform(shape, 0, 2),
    learning_rate: float32([], [0.01]),
    step: uint32([], [step]),
  };
}

function dense(name: string, shape: readonly number[], step: number, extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(23);
  return { op: "adam", name, operands: { ...state(values, shape, step), gradient: values.normal(shape) }, ...extra };
}

function rows(name: string, shape: readonly number[], n: number, extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(24);
  const terms = termOperands(mixedTerms(values, shape[0]!, shape[1] ?? 1, n));
  return {
    op: "adam_rows",
    name,
    operands: { ...state(values, shape, 4), ...terms.operands },
    attributes: terms.attributes,
    limits: termLimits(shape[0]!, terms.operands),
    ...extra,
  };
}

export const cases: OpCase[] = [
  dense("first step", [37], 0),
  dense("one more than whole vectors", [33], 1),
  dense("rank 2", [7, 13], 3),
  dense("a late step", [7, 13], 1_000_000),
  dense("typical", [256, 256], 9, { benchmark: true }),
  rows("odd sizes", [11, 7], 13),
  rows("rank 1", [11], 13),
  rows("one row", [1, 1], 1),
  rows("wide", [31, 64], 5),
  rows("a column more than whole vectors", [31, 33], 9),
  rows("odd width, many ids", [31, 100], 23),
  rows("typical", [20_000, 64], 600, { benchmark: true }),
];
