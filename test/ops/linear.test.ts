import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildCase } from "../../bench/build_case.js";
import { CaseValues, float32 } from "../../bench/cases/case.js";
import { cases } from "../../bench/cases/linear.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

const values = new CaseValues(32);

test("several inputs mean their concatenation", async () => {
  const [left, right] = [values.normal([3, 2]), values.normal([3, 3])];
  const rest = { weight: values.normal([5, 4]), bias: values.normal([4]) };
  const row = (r: number) => [...left.values.slice(2 * r, 2 * r + 2), ...right.values.slice(3 * r, 3 * r + 3)];
  const whole = float32([3, 5], [0, 1, 2].flatMap(row));
  const apart = await evaluate({ op: "linear", operands: { input: [left, right], ...rest } });
  const together = await evaluate({ op: "linear", operands: { input: [whole], ...rest } });
  assertNumbers(apart.outputs["result"]!, together.outputs["result"]!, 0);
});

test("messages name the operand and both shapes", () => {
  const operands = { input: [values.normal([3, 2]), values.normal([3, 3])], weight: values.normal([4, 4]) };
  assert.throws(
    () => buildCase({ op: "linear", name: "", operands }, { gradients: false }),
    /\[linear\] Expected weight with 5 rows but received weight \[4, 4\]/,
  );
});

test.run();
