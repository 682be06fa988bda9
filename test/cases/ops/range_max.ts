import { CaseValues, float32, int32, type OpCase, rangeOperands } from "../case.js";

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

/** Operands with ranges over `rows` rows; the gradient is computed in units of several rows. */
function ranges(name: string, rows: number, width: number, samples: readonly (readonly [number, number])[]): OpCase {
  return {
    ...OP,
    name,
    operands: {
      input: new CaseValues(9).normal([rows, width]),
      ...rangeOperands(samples),
    },
    differentiate: ["input"],
    limits: { start: rows + 1, end: rows + 1 },
    tolerance: 4,
  };
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const windows = range(70).map((i): [number, number] => [10 * i, 10 * i + ((5 * i) % 11)]);
const prefixes = range(16).flatMap((sequence) =>
  range(39).map((i): [number, number] => [40 * sequence, 40 * sequence + i + 1]),
);

export const cases: OpCase[] = [
  ranges("isolated windows", 705, 19, windows),
  ranges("prefixes of sequences", 640, 64, prefixes),
  ranges("windows that reach back", 700, 37, [...windows.slice(20), [3, 690], ...windows.slice(0, 20)]),
  ranges("windows in falling order", 700, 8, [...windows].reverse()),
  maxima("no rows", 0, 3, 2),
  maxima("one row", 1, 1, 1),
  maxima("odd sizes, overlapping ranges", 23, 7, 13),
  maxima("a column more than whole vectors", 41, 33, 90),
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
    name: "prefixes of one sequence, an empty range",
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
