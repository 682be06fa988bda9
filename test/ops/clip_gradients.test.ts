import { test } from "uvu";
import { float32 } from "../cases/case.js";
import { cases } from "../cases/ops/clip_gradients.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("scales all gradients to the limit together", async () => {
  const { outputs } = await evaluate({
    op: "clip_gradients",
    operands: { gradient: [float32([2], [3, 0]), float32([1, 1], [4])] },
    attributes: { limit: 2.5 },
  });
  assertNumbers(outputs["result.0"]!, [1.5, 0]);
  assertNumbers(outputs["result.1"]!, [2]);
});

test.run();
