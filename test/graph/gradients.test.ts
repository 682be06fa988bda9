import { test } from "uvu";
import * as assert from "uvu/assert";
import { createReferenceEngine } from "../../src/executors/reference.js";
import { gradients } from "../../src/graph/gradients.js";
import { Graph, type GraphOp, type Tensor } from "../../src/graph/graph.js";
import { addOp } from "../../src/ops/add.js";
import { add, embeddingLookup, fill, linear, lossGradients, mean, OPS, sum } from "../../src/ops/index.js";
import { GRADIENT_SUMS } from "../../src/ops/loss_gradients.js";
import type { TensorData } from "../../src/ops/op.js";
import { outputTemporaries } from "../cases/build_case.js";
import { runCase } from "../cases/run_case.js";
import { assertNumbers, denseGradient } from "../ops/harness.js";

const ZEROS = { kind: "zeros" } as const;

/** The gradients of `loss` as dense tensors, by parameter name. */
async function evaluate(
  graph: Graph,
  loss: Tensor,
  parameters: Tensor[],
  stored: Record<string, TensorData>,
  inputs: Record<string, TensorData> = {},
) {
  const found = lossGradients(graph, loss, parameters);
  outputTemporaries(graph);
  const engine = createReferenceEngine({ ops: OPS, precision: "float64" });
  const { outputs } = await runCase(engine, { program: graph.toProgram(), stored, inputs });
  const value = (tensor: Tensor) => outputs[tensor.name] ?? inputs[tensor.name] ?? stored[tensor.name]!;
  return new Map(
    [...found].map(([{ name, shape }, gradient]) => [name, denseGradient(gradient, shape as number[], value)]),
  );
}

test("the gradients of two uses are summed", async () => {
  const graph = new Graph();
  const x = graph.parameter("x", [3], ZEROS);
  const loss = add(graph, "loss", sum(graph, "a", x), mean(graph, "b", x));
  const found = await evaluate(graph, loss, [x], { x: new Float64Array(3) });
  assertNumbers(found.get("x")!, [4 / 3, 4 / 3, 4 / 3]);
});

test("a tensor added to itself has two uses", async () => {
  const graph = new Graph();
  const x = graph.parameter("x", [2], ZEROS);
  const loss = sum(graph, "loss", add(graph, "twice", x, x));
  assertNumbers((await evaluate(graph, loss, [x], { x: new Float64Array(2) })).get("x")!, [2, 2]);
});

test("a table that is read twice has the terms of both", async () => {
  const graph = new Graph();
  const table = graph.parameter("table", [3, 1], ZEROS);
  const look = (name: string, n: number) =>
    embeddingLookup(graph, `${name}_rows`, table, graph.input(name, "int32", [n]));
  const loss = add(graph, "loss", sum(graph, "s", look("a", 3)), sum(graph, "t", look("b", 1)));
  const inputs = { a: Int32Array.of(0, 2, 0), b: Int32Array.of(2) };
  const found = await evaluate(graph, loss, [table], { table: new Float64Array(3) }, inputs);
  assertNumbers(found.get("table")!, [2, 0, 2]);
});

test("a parameter that the loss does not depend on has no gradient, and costs no instruction", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["n", 2]);
  const [used, other] = [graph.parameter("used", [2, 1], ZEROS), graph.parameter("other", [2, 1], ZEROS)];
  linear(graph, "aside", [x], other);
  const loss = sum(graph, "loss", linear(graph, "scores", [x], used));
  const found = lossGradients(graph, loss, [used, other]);
  assert.equal([...found.keys()], [used]);
  graph.output("gradient", (found.get(used) as { tensor: Tensor }).tensor);
  assert.not.ok(graph.toProgram().instructions.some(({ op }) => op === "linear_input_gradient"));
});

test("a seed has the shape of what it is the gradient of", () => {
  const graph = new Graph();
  const x = graph.parameter("x", [3], ZEROS);
  const y = add(graph, "y", x, x);
  assert.throws(
    () => gradients(graph, new Map([[y, fill(graph, "one", 1)]]), [x], GRADIENT_SUMS),
    /Expected a gradient of shape \[3\] for y but received \[\]/,
  );
});

test("a rule that gives a wrong shape is named", () => {
  const graph = new Graph();
  const wrong: GraphOp = {
    ...addOp,
    name: "wrong",
    gradient: ({ graph, name }) => ({ left: fill(graph, `${name}.bad`, 1) }),
  };
  const x = graph.parameter("x", [3], ZEROS);
  const y = graph.apply(wrong, "y", { left: x, right: x })["output"]!;
  const loss = sum(graph, "loss", y);
  assert.throws(
    () => lossGradients(graph, loss, [x]),
    /\[wrong\] Gradient of left \(x\) has shape \[\], expected \[3\]/,
  );
});

test("an op without a gradient rule on the way is named", () => {
  const graph = new Graph();
  const { gradient: _, ...withoutRule } = addOp;
  const x = graph.parameter("x", [3], ZEROS);
  const y = graph.apply({ ...withoutRule, name: "opaque" }, "y", { left: x, right: x })["output"]!;
  const loss = sum(graph, "loss", y);
  assert.throws(() => lossGradients(graph, loss, [x]), /\[opaque\] has no gradient rule/);
});

test("a table that is computed has a dense gradient", async () => {
  const graph = new Graph();
  const x = graph.parameter("x", [3, 2], ZEROS);
  const ids = graph.input("ids", "int32", [4]);
  const loss = sum(graph, "loss", embeddingLookup(graph, "rows", add(graph, "twice", x, x), ids));
  const found = await evaluate(graph, loss, [x], { x: new Float32Array(6) }, { ids: Int32Array.of(2, 0, 2, 2) });
  assertNumbers(found.get("x")!, [2, 2, 0, 0, 6, 6]);
});

test("a parameter that is read as a matrix and by rows has a dense gradient", async () => {
  const graph = new Graph();
  const x = graph.parameter("x", [3, 2], ZEROS);
  const ids = graph.input("ids", "int32", [3]);
  const rows = embeddingLookup(graph, "rows", x, ids);
  const loss = sum(graph, "loss", add(graph, "both", rows, x));
  const found = await evaluate(graph, loss, [x], { x: new Float32Array(6) }, { ids: Int32Array.of(1, 1, 0) });
  assertNumbers(found.get("x")!, [2, 2, 3, 3, 1, 1]);
});

test.run();
