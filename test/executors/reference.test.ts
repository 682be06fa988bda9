import { test } from "uvu";
import * as assert from "uvu/assert";
import { createReferenceEngine } from "../../src/executors/reference.js";
import { Graph } from "../../src/graph/graph.js";
import { add, embeddingLookup, OPS, sgd } from "../../src/ops/index.js";

const ZEROS = { kind: "zeros" } as const;

/** An update that precedes a lookup. A bad id in the lookup must prevent both. */
function example() {
  const graph = new Graph();
  const weight = graph.parameter("weight", [2], ZEROS);
  const table = graph.parameter("table", [3, 1], ZEROS);
  const rate = graph.input("rate", "float32", []);
  sgd(graph, "update", { parameter: weight, gradient: graph.input("gradient", "float32", [2]), learningRate: rate });
  graph.output("rows", embeddingLookup(graph, "lookup", table, graph.input("ids", "int32", ["n"])));
  return graph.toProgram();
}

function createExample(precision: "float32" | "float64" = "float32") {
  const engine = createReferenceEngine({ ops: OPS, precision });
  const store = engine.createStore();
  store.define({ name: "weight", dtype: "float32", shape: [2] });
  store.define({ name: "table", dtype: "float32", shape: [3, 1] });
  store.write("table", Float32Array.of(5, 6, 7));
  const inputs = { rate: Float32Array.of(0.5), gradient: Float32Array.of(2, 4), ids: Int32Array.of(2, 0) };
  return { engine, store, inputs };
}

async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  return assert.unreachable("was not refused") as never;
}

test("runs a Program and updates the store in place", async () => {
  const { engine, store, inputs } = createExample();
  const executor = engine.createExecutor(example(), store, { profile: true });
  assert.equal((await executor.run(inputs, { n: 2 }))["rows"], Float32Array.of(7, 5));
  assert.equal(store.read("weight"), Float32Array.of(-1, -2));
  assert.is(executor.profile!.length, 2);
});

test("a refused run has changed nothing", async () => {
  const { engine, store, inputs } = createExample();
  const executor = engine.createExecutor(example(), store);
  const error = await rejection(executor.run({ ...inputs, ids: Int32Array.of(0, 3) }, { n: 2 }));
  assert.is(error.code, "ERR_INPUT");
  assert.is(error.message, "[embedding_lookup] Expected ids of 0 to 2 in ids but received 3 at 1 (instruction 1)");
  assert.equal(store.read("weight"), Float32Array.of(0, 0));
});

test("inputs that are missing, of the wrong length or dtype, and dims without a size are refused", async () => {
  const { engine, store, inputs } = createExample();
  const executor = engine.createExecutor(example(), store);
  const { ids: _, ...withoutIds } = inputs;
  const wrong = [
    [executor.run(withoutIds, { n: 2 }), /Missing input "ids"/],
    [executor.run(inputs, { n: 3 }), /Expected 3 values for input "ids" \[3\] but received 2/],
    [executor.run({ ...inputs, ids: Float32Array.of(0, 1) }, { n: 2 }), /Expected int32 values for input "ids"/],
    [executor.run(inputs, {}), /Expected a whole number for dim "n" but received undefined/],
  ] as const;
  for (const [promise, pattern] of wrong) {
    const error = await rejection(promise);
    assert.is(error.code, "ERR_INPUT");
    assert.match(error.message, pattern);
  }
});

test("a Program must fit the store and the ops", () => {
  const { engine, store } = createExample();
  const program = example();
  const empty = engine.createStore();
  assert.throws(() => engine.createExecutor(program, empty), /The store has no parameter "weight"/);
  empty.define({ name: "weight", dtype: "float32", shape: [3] });
  assert.throws(() => engine.createExecutor(program, empty), /Expected "weight" \[2\] but the store has \[3\]/);
  const unknown = { ...program, instructions: [{ ...program.instructions[0]!, op: "sdg" }] };
  assert.throws(() => engine.createExecutor(unknown, store), /Program uses unknown op "sdg"/);
});

test("a store refuses a name that is taken and values that do not fit", () => {
  const { store } = createExample();
  assert.throws(() => store.define({ name: "table", dtype: "float32", shape: [1] }), /already in the store/);
  assert.throws(() => store.write("table", Float32Array.of(1, 2), 2), /at most 1 values for "table" but received 2/);
  assert.throws(() => store.read("tabel"), /The store has no tensor "tabel"/);
  assert.equal(store.read("table", 1, 1), Float32Array.of(6));
});

test("float64 does not round between instructions", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", []);
  graph.output("sum", add(graph, "y", x, x));
  const run = (precision: "float32" | "float64") => {
    const engine = createReferenceEngine({ ops: OPS, precision });
    const executor = engine.createExecutor(graph.toProgram(), engine.createStore());
    return executor.run({ x: Float64Array.of(0.1) }, {});
  };
  assert.is((await run("float64"))["sum"]![0], 0.2);
  assert.is((await run("float32"))["sum"]![0], Math.fround(0.2));
});

test.run();
