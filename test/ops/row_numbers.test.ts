import { test } from "uvu";
import { int32 } from "../cases/case.js";
import { cases } from "../cases/ops/row_numbers.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("counts from `first` on", async () => {
  const { outputs } = await evaluate({
    op: "row_numbers",
    operands: { like: int32([3], [9, 9, 9]) },
    attributes: { first: 4 },
  });
  assertNumbers(outputs["result"]!, [4, 5, 6]);
});

test.run();
