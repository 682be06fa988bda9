import { CaseValues, float32, int32, type OpCase } from "./case.js";

const OP = { op: "range_max", tolerance: 0 };

function maxima(name: string, rows: number, width: number, samples: number, extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(7);
  return {
    ...OP,
    name,
    operands: { input: values.normal([rows, width]), ...values.ranges(samples, rows) },
    differentiate: ["input"],
    limits: { start: rows + 1, end: rows + 1 },
    tolerance: 4,
    ...extra,
  };
}

export const cases: OpCase[] = [
  maxima("no rows", 0, 3, 2),
  maxima("one row", 1, 1, 1),
  maxima("odd sizes, overlapping ranges", 23, 7, 13),
  maxima("wide", 23, 64, 9),
  {
    ...OP,
    name: "all negative",
    operands: {
      input: float32([3, 2], [-3, -1, -2, -5, -4, -6]),
      start: int32([2], [0, 1]),
      end: int32([2], [3, 2]),
    },
    differentiate: ["input"],
    limits: { start: 4, end: 4 },
  },
  {
    ...OP,
    name: "prefixes of one run, an empty range",
    operands: {
      input: new CaseValues(8).normal([5, 3]),
      start: int32([6], [0, 0, 0, 0, 0, 3]),
      end: int32([6], [1, 2, 3, 4, 5, 3]),
    },
    differentiate: ["input"],
    limits: { start: 6, end: 6 },
    tolerance: 4,
  },
  {
    ...OP,
    name: "equal rows: the first counts",
    operands: {
      input: float32([4, 1], [1, 2, 2, 0]),
      start: int32([2], [0, 2]),
      end: int32([2], [4, 4]),
    },
  },
  maxima("typical", 2600, 64, 256, { benchmark: true }),
];
