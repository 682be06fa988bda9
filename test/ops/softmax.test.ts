import { test } from "uvu";
import * as assert from "uvu/assert";
import { createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import { OPS } from "../../src/ops/index.js";
import { buildCase, SEED } from "../cases/build_case.js";
import { CaseValues, float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/softmax.js";
import { runCase } from "../cases/run_case.js";
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

test("kept scores change no bit of the loss and its gradients", async () => {
  const engine = createNativeEngine({ threads: 2 });
  const values = new CaseValues(3);
  // More samples than a slab of the gradient, and more items than a tile.
  const [samples, items, width] = [1100, 300, 20];
  const operands = {
    user: values.normal([samples, width]),
    weight: values.normal([items, width]),
    bias: values.normal([items]),
    target: values.ids([samples], items, 1),
  };
  const run = async (keepScores: boolean) => {
    const attributes = { skip_rows: 1, keep_scores: keepScores };
    const opCase = { op: "softmax", name: "", operands, attributes, differentiate: ["user", "weight", "bias"] };
    const built = buildCase(opCase, { gradients: true });
    const { outputs } = await runCase(engine, {
      ...built,
      inputs: { ...built.inputs, [SEED]: new Float32Array(samples).fill(1) },
    });
    const { "result.scores": scores, ...others } = outputs;
    return { scores, others };
  };
  const [kept, computed] = [await run(true), await run(false)];
  assert.is(kept.scores!.length, items * samples);
  assert.is(computed.scores, undefined);
  assert.equal(kept.others, computed.others);
  assert.ok(Object.keys(computed.others).length >= 5);
});

test.run();
