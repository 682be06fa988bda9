import { test } from "uvu";
import { float32 } from "../cases/case.js";
import { cases } from "../cases/ops/mean.js";
import { assertNumbers, checkCases, evaluate, evaluateGradients } from "./harness.js";

checkCases(cases);

test("the mean of four numbers, and of none", async () => {
  const mean = async (numbers: number[]) =>
    (await evaluate({ op: "mean", operands: { input: float32([numbers.length], numbers) } })).outputs["result"]!;
  assertNumbers(await mean([1, 5, -2, 4]), [2]);
  assertNumbers(await mean([]), [0]);
  const operands = { input: float32([4], [1, 5, -2, 4]) };
  assertNumbers(
    (await evaluateGradients({ op: "mean", operands, differentiate: ["input"] }, [4]))["input"]!,
    Array(4).fill(1),
  );
});

test.run();
