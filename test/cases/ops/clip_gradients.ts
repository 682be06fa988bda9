import { CaseValues, type OpCase } from "../case.js";

function clip(
  name: string,
  shapes: readonly (readonly number[])[],
  limit: number,
  extra: Partial<OpCase> = {},
): OpCase {
  const values = new CaseValues(36);
  return {
    op: "clip_gradients",
    name,
    operands: { gradient: shapes.map((shape) => values.normal(shape)) },
    attributes: { limit },
    ...extra,
  };
}

export const cases: OpCase[] = [
  clip("below the limit", [[3, 5], [7]], 100),
  clip("above the limit", [[3, 5], [7]], 0.5),
  clip("one more than whole vectors", [[33], [5, 17]], 0.5),
  clip("no elements", [[0, 5]], 1),
  clip("several blocks", [[200, 130], [20_001], [1, 1]], 2),
  clip("typical", [[64, 256], [64, 256], [256], [240, 256]], 1, { benchmark: true }),
];
