import { CaseValues, type OpCase } from "./case.js";

interface Sizes {
  rows: number;
  widths: number[];
  out: number;
  bias?: boolean;
  activation?: "none" | "relu";
}

function linear(name: string, sizes: Sizes, extra: Partial<OpCase> = {}): OpCase {
  const { rows, widths, out, bias = true, activation = "none" } = sizes;
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
    attributes: { activation },
    differentiate: ["input", "weight", ...(bias ? ["bias"] : [])],
    tolerance: 16 + Math.max(width, rows) / 8,
    ...extra,
  };
}

export const cases: OpCase[] = [
  linear("no rows", { rows: 0, widths: [3], out: 2 }),
  linear("one of one", { rows: 1, widths: [1], out: 1 }),
  linear("odd sizes", { rows: 7, widths: [13], out: 11 }),
  linear("no bias", { rows: 5, widths: [3], out: 17, bias: false }),
  linear("relu", { rows: 7, widths: [5], out: 19, activation: "relu" }),
  linear("three inputs, relu", { rows: 13, widths: [3, 1, 8], out: 31, activation: "relu" }),
  linear("whole vectors", { rows: 16, widths: [32, 32], out: 64 }),
  linear("one row", { rows: 1, widths: [67], out: 65 }),
  linear("the network's first layer", { rows: 37, widths: [64, 64, 8, 16, 8, 64, 16], out: 256, activation: "relu" }),
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
  linear("lstm projection", { rows: 2600, widths: [64], out: 256 }, { benchmark: true }),
];
