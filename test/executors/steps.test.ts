import { test } from "uvu";
import * as assert from "uvu/assert";
import { ShortlistError } from "../../src/errors.js";
import { createEngine, type TensorStore } from "../../src/executors/index.js";
import { Graph } from "../../src/graph/graph.js";
import { initializeStore } from "../../src/model/initialize.js";
import { decayRows, rowNumbers } from "../../src/ops/index.js";
import { scalars, trainingCase } from "./training_case.js";

const native = createEngine({ threads: 2 });

async function errorOf(body: () => unknown): Promise<string> {
  try {
    await body();
  } catch (error) {
    return error instanceof ShortlistError ? `${error.code}: ${error.message}` : String(error);
  }
  return "no error";
}

function weights(store: TensorStore) {
  return store.tensors.map(({ name }) => [name, store.read(name)] as const);
}

for (const kind of [{}, { batching: "shared" }, { windows: "growing", batching: "shared" }] as const) {
  test(`steps in one call are the runs one by one, bit for bit: ${JSON.stringify(kind)}`, async () => {
    const [one, many] = [trainingCase(native, kind), trainingCase(native, kind)];
    const { batchesPerEpoch } = many.batches;
    assert.ok(batchesPerEpoch > 8);
    for (const [epoch, index, steps] of [
      [0, 0, 1],
      [0, 1, 3],
      [0, 4, batchesPerEpoch - 4],
      [1, 0, 2],
      [0, 5, 2],
      [3, batchesPerEpoch - 1, 1],
      [4, 0, batchesPerEpoch],
    ] as const) {
      const result = await many.executor.runSteps(many.batches, {
        epoch,
        index,
        steps,
        scalars: scalars(index, steps),
      });
      assert.equal(Object.keys(result.outputs), ["loss"]);
      assert.ok(result.secondsWaited >= 0 && result.secondsWaited < 10);
      for (let i = 0; i < steps; i++) {
        const { inputs, dims } = one.reference.batch(epoch, index + i);
        const { loss } = await one.executor.run({ ...inputs, ...scalars(index + i, 1) }, dims);
        assert.is(result.outputs["loss"]![i], loss![0]);
        for (const [name, size] of Object.entries(dims)) assert.is(result.dims[name]![i], size, name);
      }
    }
    assert.equal(weights(many.store), weights(one.store));
  });
}

for (const batching of ["shuffled", "shared"] as const) {
  test(`a rank trains on its shares, which may be empty: ${batching}`, async () => {
    for (const rank of [0, 3]) {
      const options = { batching, batchSize: 4, world: 5, rank };
      const [one, many] = [trainingCase(native, options), trainingCase(native, options)];
      const slow = trainingCase(createEngine({ executor: "reference" }), options);
      const call = { epoch: 0, index: 0, steps: 6, scalars: scalars(0, 6) };
      const result = await many.executor.runSteps(many.batches, call);
      const reference = await slow.executor.runSteps(slow.batches, call);
      assert.equal([...(result.dims["samples"] as Int32Array)], new Array(6).fill(rank === 0 ? 0 : 1));
      for (let i = 0; i < 6; i++) {
        const { inputs, dims } = one.reference.batch(0, i);
        const { loss } = await one.executor.run({ ...inputs, ...scalars(i, 1) }, dims);
        assert.is(result.outputs["loss"]![i], loss![0]);
        assert.ok(Math.abs(result.outputs["loss"]![i]! - reference.outputs["loss"]![i]!) < 1e-4);
      }
      assert.equal(weights(many.store), weights(one.store));
    }
  });
}

test("the reference executor and batches of anybody else are run the same way", async () => {
  const [fast, slow, foreign] = [native, createEngine({ executor: "reference" }), native].map((engine) =>
    trainingCase(engine, { batchSize: 40 }),
  );
  const options = { epoch: 0, index: 1, steps: 3, scalars: scalars(1, 3) };
  const results = [
    await fast!.executor.runSteps(fast!.batches, options),
    await slow!.executor.runSteps(slow!.batches, options),
    await foreign!.executor.runSteps(foreign!.reference, options),
  ];
  assert.equal(results[2]!.outputs, results[0]!.outputs);
  for (let i = 0; i < 3; i++) {
    assert.ok(Math.abs(results[0]!.outputs["loss"]![i]! - results[1]!.outputs["loss"]![i]!) < 1e-4);
    for (const name of ["samples", "positions", "tags"])
      assert.is(results[1]!.dims[name]![i], results[0]!.dims[name]![i]);
  }
});

test("malformed options are refused", async () => {
  for (const engine of [native, createEngine({ executor: "reference" })]) {
    const { executor, batches } = trainingCase(engine);
    const run = (changes: object) =>
      errorOf(() => executor.runSteps(batches, { epoch: 0, index: 0, steps: 2, scalars: scalars(0, 2), ...changes }));
    assert.match(
      await run({ index: batches.batchesPerEpoch - 1 }),
      /^ERR_OPTION: Expected steps within the \d+ batches/,
    );
    assert.match(await run({ epoch: -1 }), /^ERR_OPTION: Expected steps/);
    assert.match(await run({ steps: 1.5 }), /^ERR_OPTION: Expected steps/);
    assert.match(
      await run({ scalars: { seed: Uint32Array.of(1) } }),
      /^ERR_INPUT: Missing input "(step|learning_rate)"/,
    );
    assert.match(await run({ scalars: scalars(0, 3) }), /^ERR_INPUT: Expected 1 or 2 elements .*"step"/);
    assert.is(await run({ steps: 0, scalars: scalars(0, 0) }), "no error");
  }
  const { executor, batches } = trainingCase(native);
  executor.close();
  assert.match(
    await errorOf(() => executor.runSteps(batches, { epoch: 0, index: 0, steps: 1, scalars: scalars(0, 1) })),
    /^ERR_EXECUTOR: The executor is closed/,
  );
});

test("a refused batch is reported by the call that uses it, and the next call works", async () => {
  const { executor, batches, reference } = trainingCase(native, {}, 8); // item 8 is out of bounds
  let refused = 0;
  for (let index = 0; index < batches.batchesPerEpoch; index++) {
    const { inputs } = reference.batch(0, index);
    const bad = [...inputs["item"]!, ...inputs["target"]!].includes(8);
    const error = await errorOf(() =>
      executor.runSteps(batches, { epoch: 0, index, steps: 1, scalars: scalars(0, 1) }),
    );
    assert.match(error, bad ? /^ERR_INPUT: .* but received 8/ : /^no error$/);
    refused += bad ? 1 : 0;
  }
  assert.ok(refused > 0);
});

test("integers that are scalars of a step are checked as they are in that step", async () => {
  for (const engine of [native, createEngine({ executor: "reference" })]) {
    const { batches } = trainingCase(engine);
    const graph = new Graph();
    const parameter = graph.parameter("table", [64], { kind: "zeros" });
    const accumulator = graph.optimizerState("squares", [64], { kind: "zeros" });
    const lastStep = graph.optimizerState("last_step", [64], { kind: "zeros" }, "uint32");
    const rows = rowNumbers(graph, "rows", graph.input("target", "int32", ["samples"]));
    const touched = { rows, count: graph.input("count", "int32", []) };
    const [learningRate, step] = [graph.input("learning_rate", "float32", []), graph.input("step", "uint32", [])];
    const operands = { parameter, accumulator, lastStep, touched, learningRate, step };
    decayRows(graph, "decay", operands, { l2: 0.1, epsilon: 0.1, epsilonInside: false });
    const store = engine.createStore();
    initializeStore(store, graph.toProgram(), graph.initializers, 1);
    const executor = engine.createExecutor(graph.toProgram(), store);
    const run = (...count: number[]) =>
      errorOf(() => {
        const given = { count: Int32Array.from(count), learning_rate: Float32Array.of(1), step: Uint32Array.of(1) };
        return executor.runSteps(batches, { epoch: 0, index: 0, steps: 2, scalars: given });
      });
    assert.is(await run(16, 3), "no error");
    assert.match(await run(3, 17), /^ERR_INPUT: .*Expected ids of 0 to 16 in count but received 17 at 0/);
    assert.match(
      await run(1_000_000_000, 1),
      /^ERR_INPUT: .*Expected ids of 0 to 16 in count but received 1000000000 at 0/,
    );
    executor.close();
  }
});

test("executors and batches that are closed or dropped in the middle end cleanly", async () => {
  for (let i = 0; i < 20; i++) {
    const { executor, batches } = trainingCase(native, { batchSize: 4 });
    const run = executor.runSteps(batches, { epoch: i, index: 0, steps: 1 + i, scalars: scalars(0, 1 + i) });
    executor.close();
    assert.is((await run).outputs["loss"]!.length, 1 + i);
  }
  const { executor, batches } = trainingCase(native);
  const calls = [0, 3, 1, 7].map((index) =>
    executor.runSteps(batches, { epoch: 0, index, steps: 1, scalars: scalars(index, 1) }),
  );
  assert.is((await Promise.all(calls)).length, 4);
});

test.run();
