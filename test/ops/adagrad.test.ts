import { test } from "uvu";
import { CaseValues, float32, int32, mixedTerms, termOperands } from "../cases/case.js";
import { cases } from "../cases/ops/adagrad.js";
import { assertNumbers, checkCases, denseTerms, evaluate } from "./harness.js";

checkCases(cases);

const values = new CaseValues(36);

test("a step by hand, epsilon outside and inside the root", async () => {
  const step = async (inside: boolean) => {
    const operands = {
      parameter: float32([1], [1]),
      accumulator: float32([1], [7]),
      gradient: float32([1], [3]),
      learning_rate: float32([], [0.5]),
    };
    return (await evaluate({ op: "adagrad", operands, attributes: { epsilon: 0.25, epsilon_inside: inside } })).stored;
  };
  const outside = await step(false);
  assertNumbers(outside["accumulator"]!, [16]);
  assertNumbers(outside["parameter"]!, [1 - 1.5 / 4.25]);
  assertNumbers((await step(true))["parameter"]!, [1 - 1.5 / Math.sqrt(16.25)]);
});

test("rows are updated by the dense rule: duplicates are summed first, untouched rows do not change", async () => {
  const state = {
    parameter: values.normal([11, 3]),
    accumulator: values.uniform([11, 3], 0.1, 2),
    learning_rate: float32([], [0.1]),
  };
  const terms = mixedTerms(values, 11, 3, 4);
  const { operands, attributes } = termOperands(terms);
  const gradient = float32([11, 3], denseTerms(terms, 11, 3));
  const sparse = await evaluate({ op: "adagrad_rows", operands: { ...state, ...operands }, attributes });
  const dense = await evaluate({ op: "adagrad", operands: { ...state, gradient } });
  for (const name of ["parameter", "accumulator"]) assertNumbers(sparse.stored[name]!, dense.stored[name]!, 1e-6);
});

test("a bias table of rank 1 has rows of width 1", async () => {
  const ids = int32([4], [2, 0, 2, 2]);
  const { operands, attributes } = termOperands([{ ids, rows: float32([4], [1, 5, 2, 4]) }]);
  const state = {
    parameter: float32([3], [0, 0, 0]),
    accumulator: float32([3], [0, 0, 0]),
    learning_rate: float32([], [1]),
  };
  const { stored } = await evaluate({
    op: "adagrad_rows",
    operands: { ...state, ...operands },
    attributes: { ...attributes, epsilon: 0 },
  });
  assertNumbers(stored["accumulator"]!, [25, 0, 49]);
  assertNumbers(stored["parameter"]!, [-1, 0, -1]);
});

test.run();
