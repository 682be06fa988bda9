import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkScores, notFinite } from "../../src/model/scores.js";

const nameOf = (sample: number) => `user "u${sample}"`;

test("finite log partitions are accepted, however large, and so is an empty batch", () => {
  checkScores(Float32Array.of(0, -3.4e38, 3.4e38), nameOf);
  checkScores([], nameOf);
});

test("the first user with a score that is NaN or infinite is named", () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    try {
      checkScores([1, bad, Number.NaN], nameOf);
      assert.unreachable();
    } catch (error) {
      assert.is((error as { code?: string }).code, "ERR_DIVERGED");
      assert.match((error as Error).message, 'The scores of user "u1" are not finite: ');
    }
  }
});

test("the message names possible causes", () => {
  const { code, message } = notFinite("The vector of x is");
  assert.is(code, "ERR_DIVERGED");
  assert.match(message, /^The vector of x is not finite: the training of the model diverged, or a number of the log/);
});

test.run();
