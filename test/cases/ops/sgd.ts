import { CaseValues, float32, type OpCase } from "../case.js";
import { type RowUpdate, rowUpdates } from "../row_update.js";

function dense(name: string, shape: readonly number[], extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(18);
  return {
    op: "sgd",
    name,
    operands: {
      parameter: values.normal(shape),
      gradient: values.normal(shape),
      learning_rate: float32([], [0.05]),
    },
    ...extra,
  };
}

const ROWS: RowUpdate = {
  op: "sgd_rows",
  seed: 19,
  operands: (values, shape) => ({ parameter: values.normal(shape), learning_rate: float32([], [0.05]) }),
};

export const cases: OpCase[] = [
  dense("rank 1", [37]),
  dense("one more than whole vectors", [33]),
  dense("rank 2", [7, 13]),
  dense("typical", [256, 256], { benchmark: true }),
  ...rowUpdates(ROWS),
];
