import { test } from "uvu";
import * as assert from "uvu/assert";
import { ShortlistError } from "../../src/errors.js";
import type { Engine, Executor } from "../../src/executors/executor.js";
import { availableIsas, createEngine } from "../../src/executors/index.js";
import { loadAddon } from "../../src/executors/load.js";
import { Graph } from "../../src/graph/graph.js";
import { type Program, storedTensors } from "../../src/graph/program.js";
import { embeddingLookup } from "../../src/ops/embedding_lookup.js";
import type { TensorData } from "../../src/ops/op.js";
import { bagInputs, bagProgram, prepare, SLOW_ROWS, slowInputs, slowProgram } from "./programs.js";

const native = createEngine({ threads: 2 });
const reference = createEngine({ executor: "reference" });

async function errorOf(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    assert.instance(error, ShortlistError);
    return `${(error as ShortlistError).code}: ${(error as ShortlistError).message}`;
  }
  return "no error";
}

function assertNear(actual: TensorData, expected: TensorData, what: string): void {
  assert.is(actual.length, expected.length, what);
  actual.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]!) < 1e-5, `${what}[${i}]: ${value}, expected ${expected[i]}`);
  });
}

test("a network with concatenations agrees with the reference, whatever the sizes before it", async () => {
  const program = bagProgram();
  for (const isa of availableIsas()) {
    const { executor } = prepare(createEngine({ threads: 2, isa }), program);
    const expected = prepare(reference, program).executor;
    for (const samples of [3, 200, 0, 1, 1000, 17]) {
      const { inputs, dims } = bagInputs(samples);
      const [a, b] = [await executor.run(inputs, dims), await expected.run(inputs, dims)];
      assert.equal(Object.keys(a), Object.keys(b));
      for (const [name, values] of Object.entries(b))
        assertNear(a[name]!, values, `${isa}, ${samples} samples: ${name}`);
    }
  }
});

test("both engines refuse the same runs with the same messages", async () => {
  const { inputs, dims } = bagInputs(4);
  const ids = inputs["ids"] as Int32Array;
  const changes: [string, Record<string, TensorData | undefined>, Record<string, unknown>][] = [
    ["ERR_INPUT: Missing input", { ids: undefined }, {}],
    ["ERR_INPUT: Expected 9 values for input", { ids: ids.subarray(1) }, {}],
    ["ERR_INPUT: Expected 12 values for input", { seed: new Float32Array(4) }, {}],
    ["ERR_INPUT: [embedding_bag] Expected ids of 0 to 49 in ids but received 50 at 3", { ids: ids.with(3, 50) }, {}],
    ["ERR_INPUT: [embedding_bag] Expected ids of 0 to 49 in ids but received -1 at 8", { ids: ids.with(8, -1) }, {}],
    ["ERR_INPUT: [embedding_bag] Expected ranges within 0 to 9", { end: Int32Array.of(0, 2, 10, 6) }, {}],
    ['ERR_INPUT: Expected a whole number for dim "samples" but received undefined', {}, { samples: undefined }],
    ['ERR_INPUT: Expected a whole number for dim "samples" but received 1.5', {}, { samples: 1.5 }],
    ['ERR_INPUT: Expected a whole number for dim "clicks" but received -9', {}, { clicks: -9 }],
    ['ERR_INPUT: Expected a whole number for dim "clicks" but received NaN', {}, { clicks: Number.NaN }],
  ];
  const executors = [native, reference].map((engine) => prepare(engine, bagProgram()).executor);
  for (const [expected, badInputs, badDims] of changes) {
    const messages = await Promise.all(
      executors.map((executor) =>
        errorOf(() =>
          executor.run({ ...inputs, ...badInputs } as typeof inputs, { ...dims, ...badDims } as typeof dims),
        ),
      ),
    );
    assert.is(messages[0], messages[1]);
    assert.ok(messages[0]!.startsWith(expected), `${messages[0]} starts with ${expected}`);
  }
});

test("both engines refuse the same Programs with the same messages", async () => {
  const program = bagProgram();
  const renamed: Program = {
    ...program,
    instructions: program.instructions.map((instruction) => ({ ...instruction, op: "bag_of_words" })),
  };
  for (const engine of [native, reference]) {
    const { store } = prepare(engine, program);
    assert.is(
      await errorOf(() => engine.createExecutor(renamed, store)),
      'ERR_PROGRAM: Program uses unknown op "bag_of_words"',
    );
    assert.is(
      await errorOf(() => engine.createExecutor(program, engine.createStore())),
      'ERR_EXECUTOR: The store has no parameter "wide"',
    );
    assert.is(
      await errorOf(() => store.define({ name: "out", dtype: "float32", shape: [1] })),
      'ERR_EXECUTOR: Tensor "out" is already in the store',
    );
    assert.is(await errorOf(() => store.read("inn")), 'ERR_EXECUTOR: The store has no tensor "inn"');
    assert.is(
      await errorOf(() => store.write("out", new Float32Array(5), 24)),
      'ERR_INPUT: Expected at most 3 values for "out" but received 5',
    );
    const wider = engine.createStore();
    for (const { name, dtype, shape } of storedTensors(program))
      wider.define({ name, dtype, shape: name === "out" ? [9, 4] : shape });
    assert.match(
      await errorOf(() => engine.createExecutor(program, wider)),
      /^ERR_PROGRAM: Expected "out" \[9, ?3\] but the store has \[9, ?4\]$/,
    );
  }
  assert.match(
    await errorOf(() => native.createExecutor(program, reference.createStore())),
    /^ERR_EXECUTOR: Expected a tensor store of the native engine/,
  );
});

test("arrays of another type and detached arrays are refused", async () => {
  const { executor, store } = prepare(native, bagProgram());
  const { inputs, dims } = bagInputs(4);
  const refused = (change: Record<string, unknown>) =>
    errorOf(() => executor.run({ ...inputs, ...change } as typeof inputs, dims));
  assert.is(
    await refused({ ids: new Float32Array(9) }),
    'ERR_INPUT: Expected values of int32 for input "ids" but received float32',
  );
  for (const values of [new Float64Array(9), new Uint8Array(9), [1, 2, 3], "ids", 7]) {
    assert.is(
      await refused({ ids: values }),
      'ERR_INPUT: Expected a Float32Array, Int32Array or Uint32Array for "ids"',
    );
  }
  const ids = new Int32Array(9);
  structuredClone(ids.buffer, { transfer: [ids.buffer] });
  assert.is(await refused({ ids }), 'ERR_INPUT: Expected values for "ids" but its buffer is detached');
  assert.is(
    await errorOf(() => store.write("out", new Int32Array(1))),
    'ERR_INPUT: Expected values of float32 for "out" but received int32',
  );
  assert.is(
    await errorOf(() => store.write("out", new Float32Array(1), -1)),
    "ERR_INPUT: Expected offset to be a whole number",
  );
  assert.match(
    await errorOf(() => store.read("out", 20, 8)),
    /^ERR_INPUT: Expected to read within the 27 values of "out"/,
  );
  assert.is(
    await errorOf(() => store.define({ name: "x", dtype: "float64" as "float32", shape: [1] })),
    'ERR_INPUT: Expected dtype float32, int32 or uint32 but received "float64"',
  );
});

test("objects that are not the addon's own are refused", () => {
  const { NativeEngine, NativeStore, NativeExecutor } = loadAddon();
  const [engine, store] = [new NativeEngine(1, ""), new NativeStore()];
  const text = JSON.stringify(bagProgram());
  for (const fake of [{}, store, Object.create(NativeEngine.prototype), null, 7]) {
    assert.throws(() => new NativeExecutor(fake as never, store, text, false), "Expected a NativeEngine");
  }
  for (const fake of [{}, engine, Object.create(NativeStore.prototype), undefined]) {
    assert.throws(() => new NativeExecutor(engine, fake as never, text, false), "Expected a NativeStore");
  }
  assert.throws(() => new NativeStore().define("x", "float32", [-1]), "Expected a shape of whole numbers");
  assert.throws(() => new NativeEngine(0, ""), "Expected 1 to 1024 threads");
  assert.throws(() => NativeStore.prototype.tensors.call({}));
});

test("inputs may be changed once run has been called, even while it waits for its turn", async () => {
  const { executor } = prepare(native, bagProgram());
  const { inputs, dims } = bagInputs(100);
  const expected = await executor.run(inputs, dims);
  const slow = prepare(native, slowProgram()).executor.run(slowInputs(), { rows: SLOW_ROWS });
  const own = structuredClone(inputs);
  const waiting = executor.run(own, dims);
  for (const values of Object.values(own)) values.fill(0);
  assert.equal(await waiting, expected);
  await slow;
});

test("runs that are started together give what each gives alone", async () => {
  const program = bagProgram();
  const executors: Executor[] = [prepare(native, program).executor, prepare(native, program).executor];
  const sizes = Array.from({ length: 40 }, (_, i) => 1 + ((i * 13) % 50));
  const expected = prepare(reference, program).executor;
  const results = await Promise.all(
    sizes.map((samples, i) => executors[i % 2]!.run(bagInputs(samples).inputs, bagInputs(samples).dims)),
  );
  for (const [i, samples] of sizes.entries()) {
    const { inputs, dims } = bagInputs(samples);
    assertNear(results[i]!["score"]!, (await expected.run(inputs, dims))["score"]!, `run ${i}`);
  }
});

test("a refused run does not block the runs after it", async () => {
  const { executor } = prepare(native, bagProgram());
  const { inputs, dims } = bagInputs(4);
  const bad = { ...inputs, ids: new Int32Array(9).fill(-1) };
  const settled = await Promise.allSettled([
    executor.run(inputs, dims),
    executor.run(bad, dims),
    executor.run(inputs, dims),
  ]);
  assert.equal(
    settled.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled"],
  );
});

test("a store is left alone while a run uses it, and several engines may use one", async () => {
  const program = slowProgram();
  const { store, executor } = prepare(native, program);
  const before = store.read("weight0", 0, 3);
  const [row0, row1] = [0, 1].map((row) => store.read("weight0", 512 * row, 512));
  const rows = Float32Array.of(...row1!, ...row0!, ...row1!);
  for (const row of [-1, 512]) {
    assert.is(
      await errorOf(() => store.readRows("weight0", Int32Array.of(0, row))),
      `ERR_INPUT: Expected rows below 512 of "weight0" but received ${row}`,
    );
  }
  const run = executor.run(slowInputs(), { rows: SLOW_ROWS });
  assert.is(
    await errorOf(() => store.write("weight0", before)),
    "ERR_EXECUTOR: Expected no run in flight while the store is written",
  );
  assert.equal(store.read("weight0", 0, 3), before);
  assert.equal(store.readRows("weight0", Int32Array.of(1, 0, 1)), rows);
  const other: Engine = createEngine({ threads: 1 });
  const [a, b] = await Promise.all([run, other.createExecutor(program, store).run(slowInputs(), { rows: SLOW_ROWS })]);
  assert.equal(a, b);
  assert.equal(store.read("weight0", 0, 3), before);
  assert.is(store.read("weight0", 512 * 512).length, 0);
});

test("ids in a constant are checked again when the store was written", async () => {
  const graph = new Graph();
  const table = graph.parameter("table", [5, 2], { kind: "zeros" });
  const ids = graph.constant("ids", "int32", [3], { kind: "values", values: Int32Array.of(0, 4, 2) });
  graph.output("rows", embeddingLookup(graph, "rows.found", table, ids));
  const store = native.createStore();
  store.define({ name: "table", dtype: "float32", shape: [5, 2] });
  store.define({ name: "ids", dtype: "int32", shape: [3] });
  store.write(
    "table",
    Float32Array.from({ length: 10 }, (_, i) => i),
  );
  const executor = native.createExecutor(graph.toProgram(), store);
  const run = async (...values: number[]) => {
    store.write("ids", Int32Array.from(values));
    return errorOf(async () => {
      for (let i = 0; i < 2; i++) {
        const { rows } = await executor.run({}, {});
        assert.equal(
          [...rows!],
          values.flatMap((id) => [2 * id, 2 * id + 1]),
        );
      }
    });
  };
  assert.is(await run(0, 4, 2), "no error");
  assert.match(await run(0, 5, 2), /^ERR_INPUT: .*Expected ids of 0 to 4 in ids but received 5 at 1/);
  assert.match(await run(-1, 4, 2), /^ERR_INPUT: .*but received -1 at 0/);
  assert.is(await run(1, 1, 1), "no error");
});

test("using a closed executor is an error", async () => {
  const { executor } = prepare(native, bagProgram(), true);
  const { inputs, dims } = bagInputs(2);
  const run = executor.run(inputs, dims);
  executor.close();
  executor.close();
  assert.is((await run)["score"]!.length, 6);
  assert.is(await errorOf(() => executor.run(inputs, dims)), "ERR_EXECUTOR: The executor is closed");
});

test("the profile has the seconds of each instruction", async () => {
  const program = slowProgram();
  const { executor } = prepare(native, program, true);
  await executor.run(slowInputs(), { rows: SLOW_ROWS });
  const once = executor.profile!;
  assert.is(once.length, program.instructions.length);
  assert.ok(once.every((seconds) => seconds > 0 && seconds < 60));
  await executor.run(slowInputs(), { rows: SLOW_ROWS });
  assert.ok(executor.profile!.every((seconds, i) => seconds > once[i]!));
  assert.is(prepare(native, program).executor.profile, undefined);
});

test("threads and instruction set come from options, else from the environment", async () => {
  const environment = async (variable: string, value: string, body: () => unknown) => {
    const before = process.env[variable];
    process.env[variable] = value;
    try {
      await body();
    } finally {
      if (before === undefined) delete process.env[variable];
      else process.env[variable] = before;
    }
  };
  assert.is(createEngine({ threads: 3 }).threads, 3);
  for (const threads of [0, -1, 1.5, 1025, Number.NaN, "2" as unknown as number]) {
    assert.match(
      await errorOf(() => createEngine({ threads })),
      /^ERR_OPTION: Expected threads to be a whole number of 1 to 1024 but received /,
    );
  }
  await environment("SHORTLIST_THREADS", "2", () => assert.is(createEngine().threads, 2));
  await environment("SHORTLIST_THREADS", "2", () => assert.is(createEngine({ threads: 1 }).threads, 1));
  await environment("SHORTLIST_THREADS", "many", async () =>
    assert.match(await errorOf(() => createEngine()), /^ERR_OPTION: .*SHORTLIST_THREADS.*many/),
  );
  await environment("SHORTLIST_ISA", "", () => assert.is(createEngine().isa, availableIsas()[0]));
  for (const isa of availableIsas()) {
    assert.is(createEngine({ isa }).isa, isa);
    await environment("SHORTLIST_ISA", isa, () => assert.is(createEngine().isa, isa));
  }
  const usable = availableIsas().join(", ");
  assert.is(
    await errorOf(() => createEngine({ isa: "sse9" })),
    `ERR_OPTION: Expected an instruction set (${usable}) but received "sse9"`,
  );
  await environment("SHORTLIST_ISA", "sse9", async () =>
    assert.match(await errorOf(() => createEngine()), /^ERR_OPTION: .*"sse9"$/),
  );
  const lacking = ["avx512", "avx2", "neon"].find((isa) => !availableIsas().includes(isa))!;
  assert.match(
    await errorOf(() => createEngine({ isa: lacking })),
    new RegExp(`^ERR_OPTION: Expected an instruction set .*"${lacking}"$`),
  );
  assert.is(
    await errorOf(() => createEngine({ executor: "cuda" as "native" })),
    'ERR_OPTION: Expected executor to be native or reference but received "cuda"',
  );
});

test.run();
