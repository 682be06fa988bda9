import { test } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/graph/graph.js";
import { formatProgram, type Program, parseProgram, selectOutputs } from "../../src/graph/program.js";
import { add, lstm, mean, sgd, sum } from "../../src/ops/index.js";

function example(): Program {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["n"]);
  const weight = graph.parameter("weight", [3], { kind: "zeros" });
  const rate = graph.input("rate", "float32", []);
  const twice = add(graph, "twice", x, x);
  graph.output("mean", mean(graph, "the_mean", twice));
  graph.output("sum", sum(graph, "the_sum", graph.input("y", "float32", ["m"])));
  sgd(graph, "update", { parameter: weight, gradient: weight, learningRate: rate });
  return graph.toProgram();
}

test("a Program survives its text", () => {
  const program = example();
  assert.equal(parseProgram(formatProgram(program)), program);
  const instructionLines = formatProgram(program)
    .split("\n")
    .filter((line) => line.includes('{"op":'));
  assert.is(instructionLines.length, program.instructions.length);
});

type Edit = (program: { -readonly [K in keyof Program]: Program[K] } & Record<string, unknown>) => void;

const tensors = (program: Program) => program.tensors as unknown as Record<string, unknown>[];
const instructions = (program: Program) => program.instructions as unknown as Record<string, unknown>[];

const EDITS: [string, Edit, RegExp][] = [
  ["another format", (p) => Object.assign(p, { format: "onnx" }), /expected "format": "shortlist-program"/],
  ["another version", (p) => Object.assign(p, { version: 3 }), /expected "version": 1 or 2 but received 3/],
  ["no tensors", (p) => Object.assign(p, { tensors: undefined }), /expected arrays/],
  ["a tensor that is null", (p) => tensors(p).push(null as never), /a tensor without "name"/],
  ["a tensor twice", (p) => tensors(p).push({ ...tensors(p)[0]! }), /tensor "x" is defined twice/],
  ["an unknown dtype", (p) => Object.assign(tensors(p)[0]!, { dtype: "float16" }), /"x" has unknown dtype "float16"/],
  ["an unknown role", (p) => Object.assign(tensors(p)[0]!, { role: "weight" }), /"x" has unknown role "weight"/],
  ["three axes", (p) => Object.assign(tensors(p)[0]!, { shape: [1, 2, 3] }), /"x" needs a shape of at most 2 axes/],
  ["an unknown dim", (p) => Object.assign(tensors(p)[0]!, { shape: ["k"] }), /"x" has unknown dim "k"/],
  ["a negative dim", (p) => Object.assign(tensors(p)[0]!, { shape: [-1] }), /Expected a dim/],
  ["a dim that is null", (p) => Object.assign(tensors(p)[0]!, { shape: [null] }), /Expected a dim/],
  ["an instruction without op", (p) => Object.assign(instructions(p)[0]!, { op: 3 }), /instruction 0 has no "op"/],
  [
    "no outputs",
    (p) => Object.assign(instructions(p)[0]!, { outputs: null }),
    /instruction 0 \(add\) has no "outputs"/,
  ],
  [
    "an undefined operand",
    (p) => Object.assign(instructions(p)[0]!, { inputs: { left: "x", right: "z" } }),
    /instruction 0 \(add\) reads undefined tensor "z"/,
  ],
  [
    "an operand that is a number",
    (p) => Object.assign(instructions(p)[0]!, { inputs: { left: 5 } }),
    /instruction 0 \(add\) reads undefined tensor "5"/,
  ],
  ["the wrong order", (p) => instructions(p).reverse(), /reads "twice" before it is written/],
  [
    "a second write",
    (p) => instructions(p).push(instructions(p)[0]!),
    /instruction 4 \(add\) writes "twice" a second time/,
  ],
  [
    "an input that is written",
    (p) => Object.assign(instructions(p)[0]!, { outputs: { output: "x" } }),
    /instruction 0 \(add\) writes input "x"/,
  ],
  ["an output that nothing writes", (p) => instructions(p).splice(2, 1), /output "sum" is never written/],
];
for (const [name, edit, pattern] of EDITS) {
  test(`a Program with ${name} is refused`, () => {
    const program = JSON.parse(JSON.stringify(example()));
    edit(program);
    try {
      parseProgram(JSON.stringify(program));
    } catch (error) {
      assert.is((error as { code?: string }).code, "ERR_PROGRAM");
      assert.match((error as Error).message, pattern);
      return;
    }
    assert.unreachable("was not refused");
  });
}

test("a Program of version 1 becomes one of the current version", () => {
  const graph = new Graph();
  const offsets = graph.input("offsets", "int32", ["n+1"]);
  const operands = {
    ...{ input: graph.input("x", "float32", ["m", 2]), inputWeight: graph.input("w", "float32", [2, 8]) },
    ...{ recurrentWeight: graph.input("r", "float32", [2, 8]), position: graph.input("p", "int32", ["k"]) },
  };
  graph.output("hidden", lstm(graph, "h", { ...operands, sequenceOffsets: offsets }));
  const program = graph.toProgram();
  assert.is(program.version, 2);
  const text = formatProgram(program).replace('"version": 2', '"version": 1');
  const old = text.replace('"sequence_offsets"', '"run_offsets"');
  assert.is.not(old, text);
  assert.equal(parseProgram(old), program);
  assert.throws(() => parseProgram(text), /instruction 0 \(lstm\) has an input "sequence_offsets" before version 2/);
});

test("what is no JSON is refused", () => {
  for (const text of ["", "{", "null", "[]", "3"]) assert.throws(() => parseProgram(text), /Program: expected/);
});

test("selectOutputs keeps what the outputs need, and every update", () => {
  const selected = selectOutputs(example(), ["mean"]);
  assert.equal(
    selected.instructions.map(({ op }) => op),
    ["add", "mean", "sgd"],
  );
  assert.equal(selected.dims, ["n"]);
  assert.not.ok(selected.tensors.some(({ name }) => name === "y" || name === "sum"));
  assert.equal(parseProgram(formatProgram(selected)), selected);
  assert.throws(() => selectOutputs(example(), ["maen"]), /Program has no output "maen"/);
});

test("an output that another needs stays as a temporary", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", []);
  const y = add(graph, "y", x, x);
  graph.output("inner", y);
  graph.output("outer", add(graph, "z", y, x));
  const { tensors } = selectOutputs(graph.toProgram(), ["outer"]);
  assert.is(tensors.find(({ name }) => name === "inner")!.role, "temporary");
});

test.run();
