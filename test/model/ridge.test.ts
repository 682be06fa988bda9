import { test } from "uvu";
import * as assert from "uvu/assert";
import { Turns } from "../../src/data/turns.js";
import { predictRow, type RidgeProblem, ridgeRegression } from "../../src/model/ridge.js";
import { RandomStream, STREAMS } from "../../src/random/philox.js";
import { expectError } from "../data/temporary.js";

const [ROWS, COLUMNS, WIDTH] = [40, 7, 3];

/** A problem with random features, an intercept, and noisy targets. Row 3 has weight 0 and a huge target. */
function randomProblem(penalty: number) {
  const random = new RandomStream(5, STREAMS.simulate);
  const dense = Array.from({ length: ROWS }, () =>
    Array.from({ length: COLUMNS }, (_, c) => (c === 0 ? 1 : random.uniform() < 0.4 ? random.uniform() : 0)),
  );
  const filled = dense.map((row) => row.flatMap((value, c) => (value === 0 ? [] : [{ value, c }])));
  const offsets = Int32Array.of(0, ...filled.map((_, r) => filled.slice(0, r + 1).flat().length));
  const targets = Float32Array.from({ length: ROWS * WIDTH }, () => random.uniform() - 0.5);
  targets[3 * WIDTH] = 1e6;
  const problem: RidgeProblem = {
    features: {
      columns: COLUMNS,
      offsets,
      indices: Int32Array.from(filled.flat(), ({ c }) => c),
      values: Float32Array.from(filled.flat(), ({ value }) => value),
    },
    weights: Float64Array.from({ length: ROWS }, (_, r) => (r === 3 ? 0 : random.uniform())),
    width: WIDTH,
    targets: (first, count) => targets.subarray(first * WIDTH, (first + count) * WIDTH),
    penalty,
  };
  return { problem, dense, targets };
}

test("the gradient of the objective vanishes at the solution; the intercept is not penalised", async () => {
  for (const penalty of [0.01, 1, 100]) {
    const { problem, dense, targets } = randomProblem(penalty);
    const solution = await ridgeRegression(problem, new Turns());
    for (let column = 0; column < COLUMNS; column++) {
      for (let t = 0; t < WIDTH; t++) {
        let gradient = column === 0 ? 0 : penalty * solution[column * WIDTH + t]!;
        dense.forEach((row, r) => {
          const residual = predictRow(problem.features, r, solution, WIDTH)[t]! - targets[r * WIDTH + t]!;
          gradient += problem.weights[r]! * residual * row[column]!;
        });
        assert.ok(Math.abs(gradient) < 1e-3, `penalty ${penalty}, column ${column}: ${gradient}`);
      }
    }
  }
});

test("a column without data gets 0", async () => {
  const { problem } = randomProblem(1);
  const features = { ...problem.features, columns: COLUMNS + 1 };
  assert.equal(
    [...(await ridgeRegression({ ...problem, features }, new Turns())).subarray(COLUMNS * WIDTH)],
    [0, 0, 0],
  );
});

test("a problem without any weight, or without penalty, is refused", async () => {
  const { problem } = randomProblem(1);
  const turns = new Turns();
  const weights = new Float64Array(ROWS);
  await expectError(ridgeRegression({ ...problem, weights }, turns), "ERR_OPTION", "a row of weight above 0");
  await expectError(ridgeRegression({ ...problem, penalty: 0 }, turns), "ERR_OPTION", "a penalty above 0");
});

test.run();
