import { CaseValues, float32, type OpCase, uint32 } from "../case.js";
import { type RowUpdate, rowUpdates } from "../row_update.js";

function state(values: CaseValues, shape: readonly number[], step: number) {
  return {
    parameter: values.normal(shape),
    first_moment: values.normal(shape, 0.5),
    second_moment: values.uniform(shape, 0, 2),
    learning_rate: float32([], [0.01]),
    step: uint32([], [step]),
  };
}

function dense(name: string, shape: readonly number[], step: number, extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(23);
  return { op: "adam", name, operands: { ...state(values, shape, step), gradient: values.normal(shape) }, ...extra };
}

const ROWS: RowUpdate = { op: "adam_rows", seed: 24, operands: (values, shape) => state(values, shape, 4) };

export const cases: OpCase[] = [
  dense("first step", [37], 0),
  dense("one more than whole vectors", [33], 1),
  dense("rank 2", [7, 13], 3),
  dense("a late step", [7, 13], 1_000_000),
  dense("typical", [256, 256], 9, { benchmark: true }),
  ...rowUpdates(ROWS),
];
