import { test } from "uvu";
import { float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/range_max.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("takes the first of equal rows; an empty range gives 0 and -1", async () => {
  const { outputs } = await evaluate({
    op: "range_max",
    operands: {
      input: float32([4, 2], [-1, 5, -1, 7, -2, 7, -9, 0]),
      start: int32([3], [0, 2, 1]),
      end: int32([3], [4, 2, 3]),
    },
  });
  assertNumbers(outputs["result"]!, [-1, 7, 0, 0, -1, 7]);
  assertNumbers(outputs["result.index"]!, [0, 1, -1, -1, 1, 1]);
});

test.run();
