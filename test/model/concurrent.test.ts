import { writeFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createEngine, type RunInputs } from "../../src/graph_entry.js";
import { type Model, openModel, recommend } from "../../src/index.js";
import { all, withSmallModel } from "../small_model.js";

const CALLS = 1000;
const HEAD = { format: "shortlist-program", version: 2, dims: [] } as const;

/** The results of calls that are made one after the other. */
async function inTurn<T>(calls: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  for (const call of calls) results.push(await call());
  return results;
}

/** Histories of one to five clicks, of different users. */
function runs(model: Model): (() => Promise<unknown>)[] {
  return Array.from({ length: CALLS }, (_, i) => {
    const clicks = 1 + (i % 5);
    const inputs: RunInputs = {
      user_id: Int32Array.of(i % 700),
      item: Int32Array.from({ length: clicks }, (_, c) => 1 + ((i + c * 3) % 9)),
      sample_start: Int32Array.of(0),
      sample_end: Int32Array.of(clicks),
      timestep_position: Int32Array.from({ length: clicks }, (_, c) => c),
      sequence_offsets: Int32Array.of(0, clicks),
      timestep_start: Int32Array.of(0),
      timestep_end: Int32Array.of(clicks),
      excluded: new Int32Array(0),
      excluded_offsets: Int32Array.of(0, 0),
    };
    const dims = { samples: 1, positions: clicks, sequences: 1, timesteps: clicks, excluded: 0, top: 4 };
    return () => model.run(["items", "score"], inputs, dims);
  });
}

test("a thousand concurrent runs give the same results as one run after the other", async () => {
  await withSmallModel(async (at) => {
    using engine = createEngine({ threads: 2 });
    using model = await openModel(at("model"), { engine });
    using other = await openModel(at("model"), { engine });
    using alone = await openModel(at("model"), { threads: 1 });
    const expected = await inTurn(runs(alone));
    assert.equal(await Promise.all(runs(model).map((run) => run())), expected);
    // Two models on one engine.
    const [left, right] = [runs(model), runs(other)].map((calls) => Promise.all(calls.map((run) => run())));
    assert.equal(await left, expected);
    assert.equal(await right, expected);
  });
});

test("a refused run does not affect concurrent runs", async () => {
  await withSmallModel(async (at) => {
    using model = await openModel(at("model"), { threads: 2 });
    const calls = runs(model);
    const expected = await inTurn(calls);
    const refused = calls.map((run, i) => (i % 10 === 3 ? () => model.run(["items"], {}, {}) : run));
    const results = await Promise.allSettled(refused.map((run) => run()));
    for (const [i, result] of results.entries()) {
      if (i % 10 === 3) assert.is(result.status, "rejected");
      else assert.equal(result, { status: "fulfilled", value: expected[i] });
    }
  });
});

test("a thousand concurrent calls give the right shortlists", async () => {
  await withSmallModel(async (at) => {
    using model = await openModel(at("model"), { threads: 2 });
    const logs = Array.from({ length: 10 }, (_, i) => at(`log${i}.tsv`));
    for (const [i, log] of logs.entries()) await writeFile(log, `u${i * 31}\tv${i % 9};v${(i * 2) % 9}\n`);
    const calls = Array.from(
      { length: CALLS },
      (_, i) => () => all(recommend(model, logs[i % logs.length]!, { top: 5 })),
    );
    assert.equal(await Promise.all(calls.map((call) => call())), await inTurn(calls));
  });
});

test("updates run one after the other, in the order of the calls, and no other run reads the store in between", async () => {
  const rows = 2000;
  using engine = createEngine({ threads: 2 });
  using store = engine.createStore();
  store.define({ name: "x", dtype: "float32", shape: [rows, 8] });
  const x = { name: "x", dtype: "float32", shape: [rows, 8], role: "parameter" } as const;
  using writer = engine.createExecutor(
    {
      ...HEAD,
      tensors: [
        x,
        { name: "gradient", dtype: "float32", shape: [rows, 8], role: "input" },
        { name: "rate", dtype: "float32", shape: [], role: "input" },
      ],
      instructions: [
        {
          op: "sgd",
          inputs: { parameter: "x", gradient: "gradient", learning_rate: "rate" },
          outputs: { parameter: "x" },
          attributes: {},
        },
      ],
    },
    store,
  );
  using reader = engine.createExecutor(
    {
      ...HEAD,
      tensors: [
        x,
        { name: "ids", dtype: "int32", shape: [rows], role: "input" },
        { name: "y", dtype: "float32", shape: [rows, 8], role: "output" },
      ],
      instructions: [
        { op: "embedding_lookup", inputs: { table: "x", ids: "ids" }, outputs: { output: "y" }, attributes: {} },
      ],
    },
    store,
  );
  const gradient = new Float32Array(rows * 8).fill(-1);
  const ids = Int32Array.from({ length: rows }, (_, i) => i);
  const first = writer.run({ gradient: new Float32Array(rows * 8), rate: Float32Array.of(1) }, {});
  for (const read of [
    () => store.read("x"),
    () => store.readRows("x", Int32Array.of(1)),
    () => store.firstNotFinite("x"),
  ])
    assert.throws(read, "Expected no run in flight while the store is read");
  await first;
  const reads: Promise<readonly number[]>[] = [];
  const writes: Promise<unknown>[] = [];
  for (let i = 0; i < 100; ++i) {
    for (let j = 0; j < 5; ++j) reads.push(reader.run({ ids }, {}).then(({ y }) => [...new Set(y)]));
    writes.push(writer.run({ gradient, rate: Float32Array.of(1) }, {}));
  }
  assert.equal(
    await Promise.all(reads),
    Array.from({ length: 500 }, (_, i) => [Math.floor(i / 5)]),
  );
  await Promise.all(writes);
  assert.is(store.read("x", 0, 1)[0], 100);
});

test.run();
