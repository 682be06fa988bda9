import { CaseValues, int32, largeTable, type OpCase, offsetsOf, rangeOperands } from "../case.js";

const OP = { op: "embedding_bag", differentiate: ["table"] };

function bags(
  name: string,
  rows: number,
  width: number,
  ids: number,
  samples: number,
  extra: Partial<OpCase> = {},
): OpCase {
  const values = new CaseValues(3);
  return {
    ...OP,
    name,
    operands: { table: values.normal([rows, width]), ids: values.ids([ids], rows), ...values.ranges(samples, ids) },
    limits: { ids: rows, start: ids + 1, end: ids + 1 },
    ...extra,
  };
}

function groups(
  name: string,
  width: number,
  ids: number,
  count: number,
  samples: number,
  extra: Partial<OpCase> = {},
): OpCase {
  const values = new CaseValues(4);
  const rows = 17;
  return {
    ...OP,
    name,
    operands: {
      table: values.normal([rows, width]),
      ids: values.ids([ids], rows),
      offsets: values.offsets(count, ids),
      ...values.ranges(samples, count),
    },
    limits: { ids: rows, start: count + 1, end: count + 1, offsets: ids + 1 },
    ...extra,
  };
}

/** Operands with ranges over `ids` ids, or, if `grouped`, over groups of three ids. */
function ranges(
  name: string,
  width: number,
  ids: number,
  samples: readonly (readonly [start: number, end: number])[],
  grouped = false,
): OpCase {
  const values = new CaseValues(6);
  const count = grouped ? ids / 3 : ids;
  const offsets = int32(
    [count + 1],
    Array.from({ length: count + 1 }, (_, g) => 3 * g),
  );
  return {
    ...OP,
    name,
    operands: {
      table: values.normal([29, width]),
      ids: values.ids([ids], 29),
      ...rangeOperands(samples),
      ...(grouped && { offsets }),
    },
    limits: { ids: 29, start: count + 1, end: count + 1, ...(grouped && { offsets: ids + 1 }) },
  };
}

/** A table far larger than the caches. */
function coldBags(name: string, ids: "uniform" | "zipf"): OpCase {
  return {
    ...OP,
    name,
    get operands() {
      const values = new CaseValues(47);
      const [rows, width, samples] = [1_000_000, 64, 4096];
      const { start, end, limit } = values.isolatedRanges(samples, 40);
      const drawn = ids === "zipf" ? values.zipfIds([limit], rows) : values.ids([limit], rows);
      return { table: largeTable(rows, width), ids: drawn, start, end };
    },
    benchmark: true,
    large: true,
  };
}

/** Consecutive bags of 1 to `longest` ids. */
function raggedBags(
  name: string,
  rows: number,
  width: number,
  count: number,
  longest: number,
  extra: Partial<OpCase> = {},
): OpCase {
  const values = new CaseValues(23);
  const offsets = offsetsOf(values.ids([count], longest + 1, 1).values);
  const ids = offsets.at(-1)!;
  return {
    ...OP,
    name,
    operands: {
      table: values.normal([rows, width]),
      ids: values.ids([ids], rows),
      start: int32([count], offsets.slice(0, -1)),
      end: int32([count], offsets.slice(1)),
    },
    limits: { ids: rows, start: ids + 1, end: ids + 1 },
    ...extra,
  };
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const windows = range(60).map((i): [number, number] => [12 * i, 12 * i + 1 + ((5 * i) % 12)]);
const prefixes = range(9).flatMap((run) => range(40).map((i): [number, number] => [40 * run, 40 * run + i + 1]));
const sliding = range(9).flatMap((run) =>
  range(40).map((i): [number, number] => [40 * run + Math.max(0, i - 9), 40 * run + i + 1]),
);

const values = new CaseValues(5);

export const cases: OpCase[] = [
  bags("one id", 1, 1, 1, 3),
  bags("no samples", 5, 3, 7, 0),
  bags("no ids", 5, 3, 0, 2),
  bags("odd sizes, overlapping ranges", 11, 7, 23, 13),
  bags("width 8", 11, 8, 23, 13),
  bags("wide", 11, 64, 23, 5),
  {
    ...OP,
    name: "duplicate ids and empty ranges",
    operands: {
      table: values.normal([4, 5]),
      ids: int32([6], [2, 2, 2, 0, 2, 0]),
      start: int32([4], [0, 3, 6, 0]),
      end: int32([4], [3, 3, 6, 6]),
    },
    limits: { ids: 4, start: 7, end: 7 },
  },
  ranges("isolated windows", 19, 720, windows),
  ranges("prefixes of runs", 64, 360, prefixes),
  ranges("prefixes of runs, groups", 7, 1080, prefixes, true),
  ranges("prefixes that stop, start again and repeat", 5, 9, [
    [0, 2],
    [0, 2],
    [0, 5],
    [0, 4],
    [0, 0],
    [0, 3],
    [2, 2],
    [5, 9],
  ]),
  ranges("sliding windows", 33, 360, sliding),
  ranges("windows that reach back", 21, 720, [...windows.slice(20), [3, 700], ...windows.slice(0, 20)]),
  ranges("windows in falling order", 35, 720, [...windows].reverse()),
  bags("width 127", 11, 127, 23, 13),
  groups("groups of ids", 5, 19, 7, 6),
  groups("groups, a column more than whole vectors", 33, 31, 13, 7),
  groups("groups, wide", 64, 31, 13, 7),
  groups("every group empty", 3, 0, 4, 3),
  {
    ...OP,
    name: "empty groups at either end",
    operands: {
      table: values.normal([4, 3]),
      ids: int32([3], [1, 3, 1]),
      offsets: int32([6], [0, 0, 2, 2, 3, 3]),
      start: int32([4], [0, 0, 2, 4]),
      end: int32([4], [5, 1, 4, 5]),
    },
    limits: { ids: 4, start: 6, end: 6, offsets: 4 },
  },
  bags("typical", 20_000, 64, 2600, 256, { benchmark: true }),
  coldBags("1 M rows of 64, bags of 1 to 40, uniform ids", "uniform"),
  coldBags("1 M rows of 64, bags of 1 to 40, Zipf ids", "zipf"),
  raggedBags("4096 bags of 1 to 40 ids", 20_000, 64, 4096, 40, { benchmark: true }),
];
