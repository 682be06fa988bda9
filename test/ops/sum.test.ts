import { test } from "uvu";
import { float32 } from "../cases/case.js";
import { cases } from "../cases/ops/sum.js";
import { assertNumbers, checkCases, evaluate, evaluateGradients } from "./harness.js";

checkCases(cases);

test("the sum of four numbers, and of none", async () => {
  const sum = async (numbers: number[]) =>
    (await evaluate({ op: "sum", operands: { input: float32([numbers.length], numbers) } })).outputs["result"]!;
  assertNumbers(await sum([1, 5, -2, 4]), [8]);
  assertNumbers(await sum([]), [0]);
  const operands = { input: float32([4], [1, 5, -2, 4]) };
  assertNumbers(
    (await evaluateGradients({ op: "sum", operands, differentiate: ["input"] }, [4]))["input"]!,
    Array(4).fill(4),
  );
});

test.run();
