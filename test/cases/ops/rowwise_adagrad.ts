import { float32, type OpCase } from "../case.js";
import { rowUpdates } from "../row_update.js";

export const cases: OpCase[] = rowUpdates({
  op: "rowwise_adagrad_rows",
  seed: 22,
  operands: (values, shape) => ({
    parameter: values.normal(shape),
    accumulator: values.uniform([shape[0]!], 0, 3),
    learning_rate: float32([], [0.1]),
  }),
  attributes: { epsilon: 1e-6 },
});
