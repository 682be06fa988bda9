import { test } from "uvu";
import { createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import { OPS } from "../../src/ops/index.js";
import { float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/softmax.js";
import { assertNumbers, checkCases, checkRefused, evaluate, evaluateGradients } from "./harness.js";

checkCases(cases);

test("rows before skip_rows are not candidates and get no gradient", async () => {
  const operands = {
    user: float32([1, 1], [1]),
    weight: float32([3, 1], [50, 1, 2]),
    bias: float32([3], [0, 0.5, 0]),
    target: int32([1], [1]),
  };
  const opCase = { op: "softmax", operands, attributes: { skip_rows: 1 }, differentiate: ["weight", "bias"] };
  const { outputs } = await evaluate(opCase);
  const partition = Math.log(Math.exp(1.5) + Math.exp(2));
  assertNumbers(outputs["result"]!, [partition - 1.5]);
  assertNumbers(outputs["result.log_partition"]!, [partition]);
  const { bias } = await evaluateGradients(opCase, [1]);
  assertNumbers(bias!, [0, Math.exp(1.5 - partition) - 1, Math.exp(2 - partition)]);
});

test("a target before skip_rows is refused by both engines", async () => {
  const operands = { user: float32([1, 1], [1]), weight: float32([3, 1], [1, 2, 3]), target: int32([1], [0]) };
  const opCase = { op: "softmax", name: "", operands, attributes: { skip_rows: 1 } };
  await checkRefused(createReferenceEngine({ ops: OPS }), opCase);
  await checkRefused(createNativeEngine({ threads: 1 }), opCase);
});

test.run();
