import { test } from "uvu";
import { CaseValues, float32, int32, termOperands, uint32 } from "../cases/case.js";
import { cases } from "../cases/ops/adam.js";
import { assertNumbers, checkCases, denseTerms, evaluate } from "./harness.js";

checkCases(cases);

test("three steps agree with a loop written by hand", async () => {
  const options = { beta1: 0.8, beta2: 0.95, epsilon: 1e-3 };
  const gradients = [3, -1, 0.5];
  let [theta, m, v] = [2, 0, 0];
  let stored = { parameter: [2], first_moment: [0], second_moment: [0] } as Record<string, ArrayLike<number>>;
  for (const [step, g] of gradients.entries()) {
    m = 0.8 * m + 0.2 * g;
    v = 0.95 * v + 0.05 * g * g;
    const [correctedM, correctedV] = [m / (1 - 0.8 ** (step + 1)), v / (1 - 0.95 ** (step + 1))];
    theta -= (0.5 * correctedM) / (Math.sqrt(correctedV) + 1e-3);
    const operands = {
      parameter: float32([1], Array.from(stored["parameter"]!)),
      first_moment: float32([1], Array.from(stored["first_moment"]!)),
      second_moment: float32([1], Array.from(stored["second_moment"]!)),
      gradient: float32([1], [g]),
      learning_rate: float32([], [0.5]),
      step: uint32([], [step]),
    };
    ({ stored } = await evaluate({ op: "adam", operands, attributes: options }));
    assertNumbers(stored["parameter"]!, [theta], 1e-6);
    assertNumbers(stored["first_moment"]!, [m], 1e-6);
    assertNumbers(stored["second_moment"]!, [v], 1e-6);
  }
});

test("rows that the batch does not touch keep their moments", async () => {
  const values = new CaseValues(37);
  const state = {
    parameter: values.normal([4, 2]),
    first_moment: values.normal([4, 2]),
    second_moment: values.uniform([4, 2], 0.5, 1),
    learning_rate: float32([], [0.1]),
    step: uint32([], [4]),
  };
  const terms = [{ ids: int32([3], [3, 1, 3]), rows: values.normal([3, 2]) }];
  const { operands, attributes } = termOperands(terms);
  const sparse = await evaluate({ op: "adam_rows", operands: { ...state, ...operands }, attributes });
  const dense = await evaluate({
    op: "adam",
    operands: { ...state, gradient: float32([4, 2], denseTerms(terms, 4, 2)) },
  });
  for (const name of ["parameter", "first_moment", "second_moment"] as const) {
    const expected = [0, 1, 2, 3].flatMap((row) =>
      [...(row % 2 === 1 ? dense.stored[name]! : state[name].values)].slice(2 * row, 2 * row + 2),
    );
    assertNumbers(sparse.stored[name]!, expected, 1e-6);
  }
});

test.run();
