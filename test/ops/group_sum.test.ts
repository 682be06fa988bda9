import { test } from "uvu";
import * as assert from "uvu/assert";
import { float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/group_sum.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("sums the rows of each group", async () => {
  const operands = { input: float32([3, 2], [1, 2, 10, 20, 100, 200]), offsets: int32([4], [0, 2, 2, 3]) };
  const { outputs } = await evaluate({ op: "group_sum", operands });
  assertNumbers(outputs["result"]!, [11, 22, 0, 0, 100, 200]);
});

test("offsets end where the rows do", async () => {
  const operands = { input: float32([3, 1], [1, 2, 3]), offsets: int32([2], [0, 2]) };
  try {
    await evaluate({ op: "group_sum", operands });
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), /\[group_sum\] Expected offsets to end with 3 but received 2/);
  }
});

test.run();
