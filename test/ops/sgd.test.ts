import { test } from "uvu";
import { type CaseTensor, CaseValues, float32, mixedTerms, termOperands } from "../cases/case.js";
import { cases } from "../cases/ops/sgd.js";
import { assertNumbers, checkCases, denseTerms, evaluate } from "./harness.js";

checkCases(cases);

test("moves against the gradient", async () => {
  const operands = {
    parameter: float32([2], [1, 2]),
    gradient: float32([2], [10, -10]),
    learning_rate: float32([], [0.5]),
  };
  const { stored } = await evaluate({ op: "sgd", operands });
  assertNumbers(stored["parameter"]!, [-4, 7]);
});

test("row terms of every form add up to the dense gradient", async () => {
  const values = new CaseValues(35);
  const rows = cases.find(({ name, op }) => op === "sgd_rows" && name === "odd sizes")!;
  const terms = mixedTerms(values, 11, 7, 13);
  const { parameter, learning_rate } = rows.operands as Record<string, CaseTensor>;
  const { operands, attributes } = termOperands(terms);
  const sparse = await evaluate({
    op: "sgd_rows",
    operands: { parameter: parameter!, learning_rate: learning_rate!, ...operands },
    attributes,
  });
  const sum = denseTerms(terms, 11, 7);
  const expected = [...parameter!.values].map((value, i) => value - learning_rate!.values[0]! * sum[i]!);
  assertNumbers(sparse.stored["parameter"]!, expected);
});

test.run();
