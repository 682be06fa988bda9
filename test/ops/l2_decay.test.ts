import { test } from "uvu";
import { float32 } from "../cases/case.js";
import { cases } from "../cases/ops/l2_decay.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("adds l2 times the parameter", async () => {
  const operands = { gradient: float32([2], [1, -1]), parameter: float32([2], [10, 20]) };
  const { outputs } = await evaluate({ op: "l2_decay", operands, attributes: { l2: 0.5 } });
  assertNumbers(outputs["result"]!, [6, 9]);
});

test.run();
