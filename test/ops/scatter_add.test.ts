import { test } from "uvu";
import { float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/scatter_add.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("adds each row's terms to the base", async () => {
  const { outputs } = await evaluate({
    op: "scatter_add",
    operands: {
      table: float32([3, 2], [9, 9, 9, 9, 9, 9]),
      base: float32([3, 2], [1, 2, 3, 4, 5, 6]),
      order: int32([3], [1, 0, 2]),
      rows: int32([3], [0, 2, 0]),
      segments: int32([4], [0, 1, 3, 3]),
      count: int32([], [2]),
      ids: [int32([3], [2, 0, 2])],
      term_rows: [float32([3, 2], [10, 20, 30, 40, 50, 60])],
    },
    attributes: { terms: "p" },
  });
  assertNumbers(outputs["result"]!, [31, 42, 3, 4, 65, 86]);
});

test.run();
