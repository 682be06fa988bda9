import { CaseValues, type OpCase, uint32 } from "../case.js";

interface Sizes {
  rows: number;
  columns: number;
  rate: number;
  site?: number;
  seed?: number;
  step?: number;
}

function drop(name: string, sizes: Sizes, extra: Partial<OpCase> = {}): OpCase {
  const { rows, columns, rate, site = 3, seed = 42, step = 7 } = sizes;
  return {
    op: "dropout",
    name,
    operands: {
      input: new CaseValues(32).normal([rows, columns]),
      seed: uint32([], [seed]),
      step: uint32([], [step]),
    },
    attributes: { rate, site },
    differentiate: ["input"],
    tolerance: 2,
    ...extra,
  };
}

export const cases: OpCase[] = [
  drop("no rows", { rows: 0, columns: 3, rate: 0.5 }),
  drop("one element", { rows: 1, columns: 1, rate: 0.25 }),
  drop("nothing dropped", { rows: 3, columns: 7, rate: 0 }),
  drop("odd columns", { rows: 13, columns: 67, rate: 0.3 }),
  drop("a column more than whole vectors", { rows: 70, columns: 33, rate: 0.25 }),
  drop("several chunks", { rows: 331, columns: 64, rate: 0.5 }),
  drop("largest seed, step and site", {
    rows: 5,
    columns: 130,
    rate: 0.9,
    site: 0xffffffff,
    seed: 0xffffffff,
    step: 0xffffffff,
  }),
  drop("typical", { rows: 4096, columns: 128, rate: 0.2 }, { benchmark: true }),
];
