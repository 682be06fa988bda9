import { test } from "uvu";
import { float32, int32, uint32 } from "../cases/case.js";
import { cases } from "../cases/ops/decay_rows.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("lazy decay equals decay in every step, and other rows do not change", async () => {
  const { stored } = await evaluate({
    op: "decay_rows",
    operands: {
      parameter: float32([3, 2], [1, 2, 3, 4, 5, 6]),
      accumulator: float32([3, 2], [4, 9, 1, 1, 16, 25]),
      last_step: uint32([3], [2, 2, 0]),
      rows: int32([2], [0, 2]),
      count: int32([], [2]),
      learning_rate: float32([], [0.5]),
      step: uint32([], [5]),
    },
    attributes: { l2: 0.25, epsilon: 1 },
  });
  const decayed = (value: number, accumulator: number, steps: number) => {
    let result = value;
    for (let t = 0; t < steps; t++) result -= (0.125 / (Math.sqrt(accumulator) + 1)) * result;
    return result;
  };
  const expected = [decayed(1, 4, 3), decayed(2, 9, 3), 3, 4, decayed(5, 16, 5), decayed(6, 25, 5)];
  assertNumbers(stored["parameter"]!, expected);
  assertNumbers(stored["last_step"]!, [5, 2, 5]);
});

test.run();
