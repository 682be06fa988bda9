import { CaseValues, type OpCase, uint32 } from "../case.js";

function drop(name: string, n: number, rate: number, extra: Partial<OpCase> = {}): OpCase {
  const limit = 31;
  return {
    op: "drop_ids",
    name,
    operands: {
      ids: new CaseValues(33).ids([n], limit),
      seed: uint32([], [42]),
      step: uint32([], [7]),
    },
    attributes: { rate, site: 2, limit },
    limits: { ids: limit },
    ...extra,
  };
}

export const cases: OpCase[] = [
  drop("none", 0, 0.5),
  drop("one", 1, 0.5),
  drop("nothing dropped", 9, 0),
  drop("odd number", 103, 0.3),
  drop("typical", 4096, 0.2, { benchmark: true }),
];
