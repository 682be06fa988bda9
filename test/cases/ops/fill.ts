import type { OpCase } from "../case.js";

export const cases: OpCase[] = [
  { op: "fill", name: "one", operands: {}, attributes: { value: 1 }, tolerance: 0 },
  { op: "fill", name: "a fraction", operands: {}, attributes: { value: -0.375 }, tolerance: 0 },
];
