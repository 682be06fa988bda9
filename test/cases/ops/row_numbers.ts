import { CaseValues, type OpCase } from "../case.js";

function number(name: string, n: number, first: number, extra: Partial<OpCase> = {}): OpCase {
  return {
    op: "row_numbers",
    name,
    operands: { like: new CaseValues(35).ids([n], 9) },
    attributes: { first },
    ...extra,
  };
}

export const cases: OpCase[] = [
  number("none", 0, 0),
  number("from 0", 13, 0),
  number("from 7", 5, 7),
  number("typical", 20_000, 1, { benchmark: true }),
];
