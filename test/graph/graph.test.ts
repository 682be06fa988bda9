import { test } from "uvu";
import * as assert from "uvu/assert";
import { Graph, type TensorOperand } from "../../src/graph/graph.js";
import { add, embeddingLookup, linear, mean, sgd } from "../../src/ops/index.js";
import { linearOp } from "../../src/ops/linear.js";

const ZEROS = { kind: "zeros" } as const;

test("an op's outputs are named after its scope, and a taken name is numbered", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["samples"]);
  assert.is(add(graph, "sum", x, x).name, "sum");
  assert.is(add(graph, "sum", x, x).name, "sum_2");
  assert.is(add(graph, "x", x, x).name, "x_2");
});

test("operands are checked: slots, lists, dtypes, ranks, graphs, shapes", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["samples", 3]);
  const y = graph.input("y", "float32", ["samples", 4]);
  const flat = graph.input("flat", "float32", [3]);
  const ids = graph.input("ids", "int32", ["samples", 3]);
  const weight = graph.parameter("weight", [3, 2], ZEROS);
  const stranger = new Graph().input("x", "float32", ["samples", 3]);
  const expectError = (inputs: Record<string, TensorOperand>, pattern: RegExp, attributes = {}) =>
    assert.throws(() => graph.apply(linearOp, "result", inputs, attributes), pattern);

  expectError({ input: [x] }, /\[linear\] Missing input "weight"/);
  expectError({ input: [x], weight, wieght: weight }, /\[linear\] Unknown input "wieght"/);
  expectError({ input: x, weight }, /\[linear\] Expected a list for "input"/);
  expectError({ input: [x], weight: [weight] }, /\[linear\] Expected one tensor for "weight"/);
  expectError({ input: [ids], weight }, /\[linear\] Expected input of float32 but received ids of int32/);
  expectError({ input: [flat], weight }, /\[linear\] Expected input with 2 axes but received flat \[3\]/);
  expectError({ input: [stranger], weight }, /\[linear\] Input "input" \(x\) is from another graph/);
  expectError({ input: [y], weight }, /\[linear\] Expected weight with 4 rows but received weight \[3, 2\]/);
  expectError({ input: [x], weight, bias: flat }, /\[linear\] Expected bias \[2\] but received flat \[3\]/);
  expectError({ input: [x], weight }, /\[linear\] Unknown attribute "activatoin"/, { activatoin: "relu" });
  expectError({ input: [x], weight }, /\[linear\] Expected activation "none" or "relu"/, { activation: "gelu" });
  assert.is(graph.nodes.length, 0);
});

test("names are unique, shapes have at most two axes", () => {
  const graph = new Graph();
  graph.input("x", "float32", [1]);
  assert.throws(() => graph.input("x", "float32", [1]), /Tensor "x" is defined twice/);
  assert.throws(() => graph.input("y", "float32", [1, 2, 3]), /more than 2 axes: \[1, 2, 3\]/);
});

test("outputs are computed, and no two tensors come to have one name", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", []);
  const y = add(graph, "y", x, x);
  const z = add(graph, "z", y, x);
  assert.throws(() => graph.output("x", x), /Expected output "x" to be computed but "x" is input/);
  assert.throws(() => graph.output("z", y), /Output "z" has the name of another tensor/);
  graph.output("total", y);
  assert.throws(() => graph.output("total", z), /Output "total" is defined twice/);
  assert.throws(() => graph.output("again", y), /Output "again" is output "total" already/);
  assert.throws(() => graph.input("total", "float32", []), /Tensor "total" is defined twice/);
  assert.is(add(graph, "total", x, z).name, "total_2");
});

test("a Program holds what its outputs and updates need, in order, and its dims", () => {
  const graph = new Graph();
  const table = graph.parameter("table", [9, 4], ZEROS);
  const weight = graph.parameter("weight", [4, 2], ZEROS);
  const unused = graph.parameter("unused", [1], ZEROS);
  const rate = graph.input("rate", "float32", []);
  const rows = embeddingLookup(graph, "rows", table, graph.input("ids", "int32", ["n"]));
  const gradient = add(graph, "twice", weight, weight);
  add(graph, "dead", unused, unused);
  const hidden = linear(graph, "hidden", [rows], weight);
  sgd(graph, "update", { parameter: weight, gradient, learningRate: rate });
  graph.output("answer", hidden);

  const program = graph.toProgram();
  assert.equal(
    program.instructions.map(({ op }) => op),
    ["embedding_lookup", "add", "linear", "sgd"],
  );
  assert.equal(program.dims, ["n"]);
  assert.equal(
    program.tensors.map(({ name, role }) => `${role} ${name}`),
    [
      "parameter table",
      "parameter weight",
      "input rate",
      "input ids",
      "temporary rows",
      "temporary twice",
      "output answer",
    ],
  );
  assert.equal(program.instructions[3]!.outputs, { parameter: "weight" });
});

test("shapes carry dims through", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["samples+1", 3]);
  const y = graph.input("y", "float32", ["1+samples", 3]);
  assert.equal(add(graph, "sum", x, y).shape, ["samples+1", 3]);
  assert.equal(mean(graph, "mean", x).shape, []);
});

test.run();
