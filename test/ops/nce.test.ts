import { test } from "uvu";
import * as assert from "uvu/assert";
import { CaseValues, float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/nce.js";
import { assertNumbers, checkCases, evaluateGradients } from "./harness.js";

checkCases(cases);

/*
 * Four items whose scores are their biases. The targets of the batch contain each item in proportion to p, and the
 * shared draws contain each exactly in proportion to q. So the loss of the batch equals the expected loss.
 */
const TARGETS = [0, 1, 1, 2, 2, 2, 3, 3, 3, 3];
const DRAWS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3];
const p = [0.1, 0.2, 0.3, 0.4];
const q = [0.5, 0.25, 0.125, 0.125];

const batch = (bias: number[]) => ({
  user: float32([10, 1], Array(10).fill(0)),
  weight: float32([4, 1], Array(4).fill(0)),
  bias: float32([4], bias),
  target: int32([10], TARGETS),
});

async function biasGradient(op: string, bias: number[]): Promise<Float64Array> {
  const noise = { negatives: int32([16], DRAWS), log_noise: float32([4], q.map(Math.log)) };
  const operands = op === "softmax" ? batch(bias) : { ...batch(bias), ...noise };
  return (await evaluateGradients({ op, operands, differentiate: ["bias"] }, Array(10).fill(1)))["bias"]!;
}

test("log(k q) is subtracted: nce and exact softmax have the same minimiser, log p", async () => {
  const minimiser = p.map(Math.log);
  assertNumbers(await biasGradient("softmax", minimiser), [0, 0, 0, 0], 1e-6);
  assertNumbers(await biasGradient("nce", minimiser), [0, 0, 0, 0], 1e-6);
  const added = minimiser.map((score, i) => score - 2 * Math.log(16 * q[i]!));
  assert.ok((await biasGradient("nce", added)).some((gradient) => Math.abs(gradient) > 0.1));
});

test("only nce learns log p itself: exact softmax does not see a constant", async () => {
  const shifted = p.map((probability) => Math.log(probability) + 1);
  assertNumbers(await biasGradient("softmax", shifted), [0, 0, 0, 0], 1e-6);
  assert.ok((await biasGradient("nce", shifted)).every((gradient) => gradient > 0.01));
});

test("shared draws give the same result as repeated ones", async () => {
  const values = new CaseValues(33);
  const rest = {
    user: values.normal([3, 2]),
    weight: values.normal([5, 2]),
    bias: values.normal([5]),
    target: int32([3], [0, 1, 4]),
    log_noise: float32([5], Array(5).fill(Math.log(0.2))),
  };
  const [shared, repeated] = await Promise.all(
    [int32([2], [3, 0]), int32([3, 2], [3, 0, 3, 0, 3, 0])].map((negatives) =>
      evaluateGradients(
        { op: "nce", operands: { ...rest, negatives }, differentiate: ["user", "weight", "bias"] },
        [0.5, -2, 3],
      ),
    ),
  );
  for (const slot of ["user", "weight", "bias"]) assertNumbers(shared![slot]!, repeated![slot]!);
});

test.run();
