import { test } from "uvu";
import { float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/paddle_nce.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("one sample by hand, also where the sigmoid vanishes", async () => {
  const operands = (score: number) => ({
    user: float32([1, 1], [1]),
    weight: float32([2, 1], [score, 0.5]),
    target: int32([1], [0]),
    negatives: int32([1, 2], [1, 1]),
    log_noise: float32([2], [Math.log(0.5), Math.log(0.5)]),
  });
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const beta = 2 * 0.5;
  const noise = -2 * Math.log(beta / (sigmoid(0.5) + beta));
  const middle = await evaluate({ op: "paddle_nce", operands: operands(1.5) });
  assertNumbers(middle.outputs["result"]!, [noise - Math.log(sigmoid(1.5) / (sigmoid(1.5) + beta))], 1e-6);
  const far = await evaluate({ op: "paddle_nce", operands: operands(-1000) });
  assertNumbers(far.outputs["result"]!, [noise + 1000 + Math.log(beta)], 1e-6);
});

test.run();
