import { test } from "uvu";
import { float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/embedding_lookup.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("copies rows", async () => {
  const { outputs } = await evaluate({
    op: "embedding_lookup",
    operands: { table: float32([3, 2], [1, 2, 3, 4, 5, 6]), ids: int32([4], [2, 0, 2, 1]) },
  });
  assertNumbers(outputs["result"]!, [5, 6, 1, 2, 5, 6, 3, 4]);
});

test.run();
