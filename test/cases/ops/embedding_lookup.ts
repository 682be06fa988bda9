import { CaseValues, int32, type OpCase } from "../case.js";

function lookup(name: string, rows: number, width: number, ids: number, extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(1);
  return {
    op: "embedding_lookup",
    name,
    operands: { table: values.normal([rows, width]), ids: values.ids([ids], rows) },
    differentiate: ["table"],
    limits: { ids: rows },
    tolerance: 0,
    ...extra,
  };
}

const table = new CaseValues(2).normal([5, 3]);

export const cases: OpCase[] = [
  lookup("no ids", 3, 4, 0),
  lookup("one id", 1, 1, 1),
  lookup("odd sizes", 11, 7, 13),
  lookup("a column more than whole vectors", 19, 33, 31),
  lookup("wide", 19, 64, 31),
  {
    op: "embedding_lookup",
    name: "duplicate ids",
    operands: { table, ids: int32([6], [4, 4, 0, 4, 0, 4]) },
    differentiate: ["table"],
    limits: { ids: 5 },
    tolerance: 0,
  },
  lookup("typical", 20_000, 64, 2600, { benchmark: true }),
];
