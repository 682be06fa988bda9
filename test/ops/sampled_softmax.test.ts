import { test } from "uvu";
import { CaseValues, float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/sampled_softmax.js";
import { assertNumbers, checkCases, evaluate, evaluateGradients } from "./harness.js";

checkCases(cases);

const values = new CaseValues(34);
const items = {
  user: values.normal([2, 3]),
  weight: values.normal([4, 3]),
  bias: values.normal([4]),
  target: int32([2], [1, 3]),
};
const log_noise = float32([4], Array(4).fill(Math.log(0.25)));
const differentiate = ["user", "weight", "bias"];

test("with every other item drawn once, it is exact softmax", async () => {
  const negatives = int32([2, 3], [0, 2, 3, 0, 1, 2]);
  const sampled = { op: "sampled_softmax", operands: { ...items, negatives, log_noise }, differentiate };
  const exact = { op: "softmax", operands: items, differentiate };
  assertNumbers((await evaluate(sampled)).outputs["result"]!, (await evaluate(exact)).outputs["result"]!);
  const [a, b] = [await evaluateGradients(sampled, [1, -2]), await evaluateGradients(exact, [1, -2])];
  for (const slot of differentiate) assertNumbers(a[slot]!, b[slot]!);
});

test("draws equal to the target are left out", async () => {
  const loss = async (negatives: number[]) => {
    // The noise is scaled so that k q stays the same.
    const noise = float32([4], Array(4).fill(Math.log(1 / negatives.length)));
    const operands = {
      ...items,
      user: float32([1, 3], items.user.values.slice(0, 3)),
      target: int32([1], [1]),
      negatives: int32([1, negatives.length], negatives),
      log_noise: noise,
    };
    return (await evaluate({ op: "sampled_softmax", operands })).outputs;
  };
  const [hit, clean] = [await loss([1, 0, 1, 2]), await loss([0, 2])];
  assertNumbers(hit["result"]!, clean["result"]!, 1e-6);
  const [target, first, other, second, last] = hit["result.logit_gradient"]!;
  assertNumbers([target!, other!, last!], clean["result.logit_gradient"]!, 1e-6);
  assertNumbers([first!, second!], [0, 0], 0);
});

test.run();
