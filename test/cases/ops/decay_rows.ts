import { CaseValues, float32, int32, type OpCase, uint32 } from "../case.js";

function decay(
  name: string,
  shape: readonly number[],
  touched: readonly number[],
  extra: Partial<OpCase> = {},
): OpCase {
  const values = new CaseValues(41);
  const [rows] = shape as [number];
  return {
    op: "decay_rows",
    name,
    operands: {
      parameter: values.normal(shape),
      accumulator: values.uniform(shape, 0, 3),
      last_step: uint32(
        [rows],
        Array.from({ length: rows }, (_, row) => (row * 7) % 41),
      ),
      rows: int32([touched.length], touched),
      count: int32([], [Math.max(0, touched.length - 1)]),
      learning_rate: float32([], [0.1]),
      step: uint32([], [40]),
    },
    attributes: { l2: 0.01, epsilon: 1e-6 },
    limits: { rows, count: touched.length + 1 },
    ...extra,
  };
}

export const cases: OpCase[] = [
  decay("odd sizes", [11, 7], [0, 3, 9, 10]),
  decay("rank 1, epsilon inside the root", [11], [2, 5, 8], {
    attributes: { l2: 0.01, epsilon: 1e-6, epsilon_inside: true },
  }),
  decay(
    "many rows, the last first",
    [90, 33],
    Array.from({ length: 78 }, (_, i) => 89 - i),
  ),
  decay("no rows", [3, 4], []),
  decay(
    "typical",
    [20_000, 32],
    Array.from({ length: 2000 }, (_, i) => i * 9),
    { benchmark: true, tolerance: 64 },
  ),
];
