import { CaseValues, type OpCase, rangeOperands } from "../case.js";

function last(
  name: string,
  rows: number,
  width: number,
  ranges: readonly (readonly [number, number])[],
  extra: Partial<OpCase> = {},
): OpCase {
  return {
    op: "range_last",
    name,
    operands: { input: new CaseValues(31).normal([rows, width]), ...rangeOperands(ranges) },
    differentiate: ["input"],
    limits: { start: rows + 1, end: rows + 1 },
    tolerance: 4,
    ...extra,
  };
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const windows = range(130).map((i): [number, number] => [10 * i, 10 * i + 1 + ((5 * i) % 9)]);
const prefixes = (sequences: number, timesteps: number) =>
  range(sequences).flatMap((sequence) =>
    range(timesteps).map((i): [number, number] => [timesteps * sequence, timesteps * sequence + i + 1]),
  );

export const cases: OpCase[] = [
  last("no rows", 0, 3, [
    [0, 0],
    [0, 0],
  ]),
  last("no ranges", 5, 3, []),
  last("isolated windows, rows after the last", 1310, 19, windows),
  last("prefixes of sequences", 640, 64, prefixes(16, 40)),
  last("a column more than whole vectors", 64, 33, prefixes(4, 16)),
  last("one column, windows that overlap", 41, 1, [...windows.slice(0, 4), [3, 41], [0, 0], [9, 30], [3, 41]]),
  last("falling order", 1310, 8, [...windows].reverse()),
  last("equal ends, an empty range", 7, 5, [
    [0, 4],
    [2, 2],
    [1, 4],
    [6, 7],
  ]),
  last("typical", 2600, 64, prefixes(65, 40), { benchmark: true }),
];
