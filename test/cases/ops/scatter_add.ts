import { CaseValues, mixedTerms, type OpCase, termLimits, termOperands } from "../case.js";

function scatter(name: string, shape: readonly number[], n: number, extra: Partial<OpCase> & { base?: boolean } = {}) {
  const { base = true, ...rest } = extra;
  const values = new CaseValues(34);
  const terms = termOperands(mixedTerms(values, shape[0]!, shape[1] ?? 1, n));
  const opCase: OpCase = {
    op: "scatter_add",
    name,
    operands: {
      table: values.normal(shape),
      ...(base && { base: values.normal(shape) }),
      ...terms.operands,
    },
    attributes: terms.attributes,
    limits: termLimits(shape[0]!, terms.operands),
    ...rest,
  };
  return opCase;
}

export const cases: OpCase[] = [
  scatter("odd sizes", [11, 7], 13),
  scatter("no base", [11, 7], 13, { base: false }),
  scatter("rank 1", [11], 13),
  scatter("one row", [1, 1], 1),
  scatter("wide, rows that no term names", [301, 64], 5),
  scatter("a column more than whole vectors", [31, 33], 9),
  scatter("odd width, many ids", [31, 100], 23),
  scatter("several chunks", [31, 20], 300),
  scatter("typical", [20_000, 64], 600, { benchmark: true }),
];
