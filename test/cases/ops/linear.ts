import { CaseValues, int32, type OpCase, offsetsOf } from "../case.js";

interface Sizes {
  rows: number;
  widths: readonly number[];
  out: number;
  bias?: boolean;
  activation?: "none" | "relu";
  precision?: "float32" | "bf16";
}

function linear(name: string, sizes: Sizes, extra: Partial<OpCase> = {}): OpCase {
  const { rows, widths, out, bias = true, activation = "none", precision = "float32" } = sizes;
  const values = new CaseValues(9);
  const width = widths.reduce((a, b) => a + b, 0);
  return {
    op: "linear",
    name,
    operands: {
      input: widths.map((columns) => values.normal([rows, columns])),
      weight: values.normal([width, out], 1 / Math.sqrt(width)),
      ...(bias && { bias: values.normal([out]) }),
    },
    attributes: { activation, precision },
    rounds: precision === "bf16",
    differentiate: ["input", "weight", ...(bias ? ["bias"] : [])],
    tolerance: 16 + Math.max(width, rows) / 8,
    ...extra,
  };
}

interface GroupedSizes extends Omit<Sizes, "rows" | "bias"> {
  /** Number of rows of each group. */
  groups: readonly number[];
  /** Kind of each input, in the order of `widths`: "x" has a row for each row of the output, "g" one for each group. */
  order: string;
}

function grouped(name: string, sizes: GroupedSizes, extra: Partial<OpCase> = {}): OpCase {
  const { groups, widths, order, out, activation = "none", precision = "float32" } = sizes;
  const values = new CaseValues(33);
  const offsets = offsetsOf(groups);
  const rows = offsets.at(-1)!;
  const inputs = (letter: string, count: number) =>
    widths.filter((_, i) => order[i] === letter).map((columns) => values.normal([count, columns]));
  const width = widths.reduce((a, b) => a + b, 0);
  return {
    op: "linear",
    name,
    operands: {
      input: inputs("x", rows),
      group_input: inputs("g", groups.length),
      group_offsets: int32([groups.length + 1], offsets),
      weight: values.normal([width, out], 1 / Math.sqrt(width)),
      bias: values.normal([out]),
    },
    attributes: { activation, precision, order },
    rounds: precision === "bf16",
    differentiate: ["input", "group_input", "weight", "bias"],
    tolerance: 16 + Math.max(width, rows) / 8,
    ...extra,
  };
}

const NETWORK = { widths: [64, 64, 8, 16, 8, 64, 16], order: "xgggxxg", out: 256, activation: "relu" } as const;

export const cases: OpCase[] = [
  grouped("groups, one of one", { groups: [1], widths: [1, 1], order: "gx", out: 1 }),
  grouped("groups without rows", { groups: [0, 3, 0, 0, 2, 0], widths: [3, 2, 5], order: "xgx", out: 7 }),
  grouped("no groups", { groups: [], widths: [3, 2], order: "xg", out: 2 }),
  grouped("groups of a few rows, relu", {
    groups: [1, 7, 2, 30, 1],
    widths: [5, 3, 19, 1],
    order: "ggxg",
    out: 33,
    activation: "relu",
  }),
  grouped("long sums, few rows, groups", { groups: [20, 5], widths: [700, 9], order: "xg", out: 17 }),
  grouped("groups of many rows, a wide input", {
    groups: [0, 8, 3, 0, 7, 8, 1, 6, 5, 2, 8, 4, 7, 0, 8, 8, 6, 3, 8, 5, 8, 7, 2, 8, 8],
    widths: [300, 7],
    order: "xg",
    out: 33,
    activation: "relu",
  }),
  grouped("groups of many rows, bf16", {
    groups: [3, 8, 0, 7, 5, 8, 8, 6, 1, 8, 7],
    widths: [64, 1],
    order: "xg",
    out: 31,
    activation: "relu",
    precision: "bf16",
  }),
  grouped("groups, bf16", { groups: [9, 40, 3], widths: [31, 20, 7], order: "gxg", out: 29, precision: "bf16" }),
  grouped("the network's first layer, groups", { ...NETWORK, groups: [12, 1, 30, 5] }),
  grouped("typical, groups", { ...NETWORK, groups: Array.from({ length: 24 }, () => 11) }, { benchmark: true }),
  linear("no rows", { rows: 0, widths: [3], out: 2 }),
  linear("one of one", { rows: 1, widths: [1], out: 1 }),
  linear("odd sizes", { rows: 7, widths: [13], out: 11 }),
  linear("no bias", { rows: 5, widths: [3], out: 17, bias: false }),
  linear("relu", { rows: 7, widths: [5], out: 19, activation: "relu" }),
  linear("three inputs, relu", { rows: 13, widths: [3, 1, 8], out: 31, activation: "relu" }),
  linear("whole vectors", { rows: 16, widths: [32, 32], out: 64 }),
  linear("a few columns more than whole vectors, relu", { rows: 33, widths: [17, 16], out: 49, activation: "relu" }),
  linear("many rows, few columns", { rows: 700, widths: [5, 6], out: 3 }),
  linear("many rows, a wide input, relu", { rows: 130, widths: [300, 7], out: 33, activation: "relu" }),
  linear("one row", { rows: 1, widths: [67], out: 65 }),
  linear("the network's first layer", { rows: 37, widths: [64, 64, 8, 16, 8, 64, 16], out: 256, activation: "relu" }),
  linear("bf16, odd sizes", { rows: 17, widths: [13, 3], out: 11, precision: "bf16" }),
  linear("bf16, many rows, few columns", { rows: 700, widths: [5, 6], out: 3, precision: "bf16" }),
  linear("bf16, relu", { rows: 131, widths: [70, 45], out: 77, activation: "relu", precision: "bf16" }),
  linear(
    "typical",
    { rows: 256, widths: [64, 64, 8, 16, 8, 64, 16], out: 256, activation: "relu" },
    { benchmark: true },
  ),
  ...[50, 1024].flatMap((rows) =>
    [
      [64, 256],
      [240, 256],
      [256, 31],
      [256, 64],
    ].map(([width, out]) =>
      linear(`${rows} × ${width} · ${width} × ${out}`, { rows, widths: [width!], out: out! }, { benchmark: true }),
    ),
  ),
  linear("typical, bf16", { rows: 256, widths: [240], out: 256, precision: "bf16" }, { benchmark: true }),
  linear("lstm projection", { rows: 2600, widths: [64], out: 256 }, { benchmark: true }),
];
