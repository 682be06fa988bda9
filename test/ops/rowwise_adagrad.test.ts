import { test } from "uvu";
import { float32, int32, termOperands } from "../cases/case.js";
import { cases } from "../cases/ops/rowwise_adagrad.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("each row has one accumulator: the mean of its squared gradients, after summing duplicates", async () => {
  const terms = [{ ids: int32([3], [1, 2, 1]), rows: float32([3, 2], [1, 2, 0, 0, 2, 2]) }];
  const { operands, attributes } = termOperands(terms);
  const state = {
    parameter: float32([3, 2], [0, 0, 10, 20, 5, 5]),
    accumulator: float32([3], [1, 3.5, 4]),
    learning_rate: float32([], [0.5]),
  };
  const { stored } = await evaluate({
    op: "rowwise_adagrad_rows",
    operands: { ...state, ...operands },
    attributes: { ...attributes, epsilon: 0.125 },
  });
  const root = Math.sqrt(3.5 + (9 + 16) / 2) + 0.125;
  assertNumbers(stored["accumulator"]!, [1, 16, 4]);
  assertNumbers(stored["parameter"]!, [0, 0, 10 - 1.5 / root, 20 - 2 / root, 5, 5]);
});

test.run();
