import { existsSync, readdirSync } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createEngine } from "../../src/graph_entry.js";
import {
  evaluate,
  extendModel,
  minePopular,
  mineSimilar,
  mineUsers,
  openDataset,
  openModel,
  recommend,
  saveModel,
  train,
  writeItemVectors,
  writeUserVectors,
} from "../../src/index.js";
import { expectError } from "../data/temporary.js";
import { all, SMALL, withSmallModel } from "../small_model.js";

const TASKS = "/proc/self/task";
const NOTHING = { format: "shortlist-program", version: 2, dims: [], tensors: [], instructions: [] } as const;

for (const executor of ["native", "reference"] as const) {
  test(`${executor}: a model that is closed answers nothing any more, and may be closed again`, async () => {
    await withSmallModel(async (at) => {
      const [log, output, dataset] = [at("log.tsv"), at("vectors"), await openDataset(at("dataset"))];
      const model = await openModel(at("model"), { executor });
      const shortlists = recommend(model, log);
      await shortlists.next();
      model.close();
      model.close();
      for (const use of [
        () => shortlists.next(),
        () => all(recommend(model, log)),
        () => evaluate(model, log),
        () => all(minePopular(model)),
        () => all(mineSimilar(model)),
        () => all(mineUsers(model)),
        () => writeUserVectors(model, log, { output }),
        () => writeItemVectors(model, { output }),
        () => extendModel(model, { dataset, logs: [log] }),
        () => saveModel(model, at("copy")),
        () => model.run(["items"], {}, {}),
        async () => model.store.read("output.bias"),
        async () => model.store.tensors,
        async () => model.engine.createExecutor(model.program, model.store),
      ]) {
        await expectError(use(), "ERR_EXECUTOR", /closed|open/);
      }
      assert.not.ok(existsSync(output) || existsSync(at("copy")));
    });
  });

  test(`${executor}: runs in flight are finished when their model is closed`, async () => {
    await withSmallModel(async (at) => {
      const model = await openModel(at("model"), { executor });
      const inputs = {
        user_id: Int32Array.of(1),
        item: Int32Array.of(1),
        ...{ sample_start: Int32Array.of(0), sample_end: Int32Array.of(1), timestep_position: Int32Array.of(0) },
        ...{ sequence_offsets: Int32Array.of(0, 1), timestep_start: Int32Array.of(0), timestep_end: Int32Array.of(1) },
      };
      const dims = { samples: 1, positions: 1, sequences: 1, timesteps: 1 };
      const expected = await model.run(["user_vector"], inputs, dims);
      const running = Array.from({ length: 8 }, () => model.run(["user_vector"], inputs, dims));
      model.close();
      for (const result of await Promise.all(running)) assert.equal(result, expected);
    });
  });

  test(`${executor}: models run on one engine, which stays open until it is closed itself`, async () => {
    await withSmallModel(async (at) => {
      const engine = createEngine({ executor, ...(executor === "native" && { threads: 2 }) });
      const [one, other] = [await openModel(at("model"), { engine }), await openModel(at("model"), { engine })];
      assert.ok(one.engine === engine && other.engine === engine);
      const expected = await all(recommend(one, at("log.tsv")));
      one.close();
      await expectError(all(recommend(one, at("log.tsv"))), "ERR_EXECUTOR", "The model is closed");
      assert.equal(await all(recommend(other, at("log.tsv"))), expected);
      engine.close();
      await expectError(all(recommend(other, at("log.tsv"))), "ERR_EXECUTOR", "engine");
      await expectError(openModel(at("model"), { engine }), "ERR_EXECUTOR", "engine");
      other.close();
      await expectError(
        openModel(at("model"), { engine, executor }),
        "ERR_OPTION",
        'Expected either an engine or "executor" but received both',
      );
      await expectError(openModel(at("model"), { engine: "native" as never }), "ERR_OPTION", "but received native");
    });
  });

  test(`${executor}: what a block uses is closed at its end`, async () => {
    await withSmallModel(async (at) => {
      const engine = createEngine({ executor });
      const store = engine.createStore();
      const used = await openModel(at("model"), { engine });
      const one = engine.createExecutor(used.program, used.store);
      {
        using model = used;
        using executorOfBlock = one;
        using storeOfBlock = store;
        storeOfBlock.define({ name: "x", dtype: "float32", shape: [1] });
        assert.is(executorOfBlock.program, model.program);
      }
      assert.throws(() => store.read("x"), /closed/);
      await expectError(one.run({}, {}), "ERR_EXECUTOR", "The executor is closed");
      await expectError(used.run(["items"], {}, {}), "ERR_EXECUTOR", "The model is closed");
      const empty = engine.createStore();
      {
        using engineOfBlock = engine;
        assert.is(engineOfBlock.createStore().tensors.length, 0);
      }
      await expectError((async () => engine.createExecutor(NOTHING, empty))(), "ERR_EXECUTOR", /closed|open/);
    });
  });

  test(`${executor}: an executor of an engine or a store that is closed runs no more`, async () => {
    const x = { name: "x", dtype: "float32", shape: [], role: "parameter" } as const;
    for (const closed of ["engine", "store"] as const) {
      const engine = createEngine({ executor });
      const store = engine.createStore();
      store.define(x);
      const runner = engine.createExecutor({ ...NOTHING, tensors: [x] }, store);
      await runner.run({}, {});
      ({ engine, store })[closed].close();
      await expectError(runner.run({}, {}), "ERR_EXECUTOR", `The ${closed} is closed`);
      for (const open of [runner, store, engine]) open.close();
    }
  });

  test(`${executor}: models that were made of one another are closed one by one`, async () => {
    await withSmallModel(async (at) => {
      const model = await openModel(at("model"), { executor });
      await writeFile(at("new.tsv"), "u1\tnew;v1\n");
      const extended = await extendModel(model, { dataset: await openDataset(at("dataset")), logs: [at("new.tsv")] });
      model.close();
      assert.is((await all(recommend(extended.model, at("new.tsv")))).length, 1);
      extended.model.close();
    });
  });
}

test("closing a model ends its threads and frees its weights at once", async () => {
  if (!existsSync(TASKS)) return;
  const threads = () => readdirSync(TASKS).length;
  const engine = createEngine({ threads: 4 });
  const store = engine.createStore();
  const rows = 1 << 18;
  store.define({ name: "x", dtype: "float32", shape: [rows, 64] });
  store.write("x", new Float32Array(rows * 64).fill(1));
  const before = { threads: threads(), memory: process.memoryUsage.rss() };
  store.close();
  engine.close();
  assert.is(threads(), before.threads - 3);
  assert.ok(process.memoryUsage.rss() < before.memory - 2 ** 25, "64 MiB are given back");
});

test("opening and closing models repeatedly does not increase memory use", async () => {
  await withSmallModel(async (at) => {
    const set = [...SMALL, "lstmWidth=768"];
    await train({ dataset: at("dataset"), output: at("large"), set, steps: 1, threads: 1 });
    const { size } = await stat(at("large/model.safetensors"));
    assert.ok(size > 2 ** 23, `${size} bytes can be seen`);
    const engine = createEngine({ threads: 2 });
    const memory: number[] = [];
    const kept: unknown[] = []; // keeps references, so that memory is freed by closing and not by garbage collection
    for (let i = 0; i < 20; ++i) {
      using model = await openModel(at("large"), { engine });
      kept.push(model);
      assert.is((await all(recommend(model, at("log.tsv")))).length, 700);
      memory.push(process.memoryUsage.rss());
    }
    engine.close();
    assert.is(kept.length, 20);
    const grown = Math.max(...memory.slice(15)) - Math.max(...memory.slice(0, 5));
    assert.ok(grown < 5 * size, `Expected less than five of fifteen models but received ${grown / size} more`);
  });
});

test("training ends its threads, whether or not it succeeds", async () => {
  if (!existsSync(TASKS)) return;
  await withSmallModel(async (at) => {
    const threads = () => readdirSync(TASKS).length;
    const before = threads();
    const options = { dataset: at("dataset"), steps: 2, threads: 3 };
    await train({ ...options, output: at("a"), set: SMALL });
    await train({ ...options, output: at("b"), set: ["lstmWidth=1000000"] }).catch(() => {});
    // Threads of earlier tests may still have been ending before.
    assert.ok(threads() <= before, `${threads()} threads after ${before}`);
  });
});

test.run();
