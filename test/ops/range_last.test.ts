import { test } from "uvu";
import { float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/range_last.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("takes the last row of a range; an empty range gives 0", async () => {
  const { outputs } = await evaluate({
    op: "range_last",
    operands: {
      input: float32([3, 2], [1, 2, 3, 4, 5, 6]),
      start: int32([3], [0, 1, 2]),
      end: int32([3], [2, 1, 3]),
    },
  });
  assertNumbers(outputs["result"]!, [3, 4, 0, 0, 5, 6]);
});

test.run();
