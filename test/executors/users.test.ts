import { test } from "uvu";
import * as assert from "uvu/assert";
import { NextClickBatches } from "../../src/data/batches.js";
import type { Clicks } from "../../src/data/clicks.js";
import { openDataset } from "../../src/data/dataset.js";
import type { ErrorCode } from "../../src/errors.js";
import { createReferenceEngine } from "../../src/executors/index.js";
import { type Model, openModel } from "../../src/model/model.js";
import { watchedItems } from "../../src/model/watched.js";
import { OPS } from "../../src/ops/index.js";
import { expectError } from "../data/temporary.js";
import { withSmallModel } from "../small_model.js";

const OUTPUTS = ["items", "score", "log_partition"];

async function withModel(work: (model: Model, clicks: Clicks, folder: string) => Promise<void>): Promise<void> {
  await withSmallModel(async (at) => {
    const { clicks } = await openDataset(at("dataset"));
    using model = await openModel(at("model"), { threads: 2 });
    await work(model, clicks, at("model"));
  });
}

/** What the run of a batch of users is given besides. */
function extras(clicks: Clicks, first: number, users: number) {
  const { ids: excluded, offsets } = watchedItems(clicks, first, users);
  return { inputs: { excluded, excluded_offsets: offsets }, dims: { top: 4, excluded: excluded.length } };
}

test("users get the same bits from native batches and from the reference's, all at once and one by one", () =>
  withModel(async (model, clicks) => {
    const { window, windows } = model.description.config;
    for (const batchSize of [256, 1, 90]) {
      const options = { clicks, window, windows, batchSize };
      const [native, reference] = [model.engine.createUserBatches(options), new NextClickBatches(options)];
      const batches = batchSize === 1 ? [0, 1, 699] : Array.from({ length: native.batches }, (_, b) => b);
      const answers = await Promise.all(
        batches.map(async (b) => {
          const first = native.firstUser(b);
          const { inputs, dims } = extras(clicks, first, Math.min(batchSize, clicks.users - first));
          const batch = reference.batch(b);
          return Promise.all([
            model.runUsers(OUTPUTS, native, b, inputs, dims),
            model.runUsers(OUTPUTS, reference, b, inputs, dims),
            model.run(OUTPUTS, { ...batch.inputs, ...inputs }, { ...batch.dims, ...dims }),
            model.runUsers(["user_vector"], native, b),
            model.run(["user_vector"], batch.inputs, batch.dims),
          ]);
        }),
      );
      for (const [users, mixed, run, vectors, runVectors] of answers) {
        assert.equal(users, run);
        assert.equal(mixed, run);
        assert.equal(vectors, runVectors);
      }
    }
  }));

test("a search for the users of a batch finds what two calls find, and refuses what does not fit", () =>
  withModel(async (model, clicks) => {
    const { engine, store, description } = model;
    const { window, windows, userVectorWidth: width } = description.config;
    const options = { clicks, window, windows, batchSize: 90 };
    const native = engine.createUserBatches(options);
    const search = engine.createItemSearch(store, { weight: "output.weight", bias: "output.bias", firstPass: "int8" });
    const executor = model.executorFor(["user_vector"]);
    const filters = { exclude: Int32Array.of(0, 7, 8) };
    const last = native.batches - 1;
    for (const batches of [native, new NextClickBatches(options)]) {
      for (const [index, users] of [
        [0, 90],
        [last, clicks.users - 90 * last],
      ] as const) {
        const asked = { executor, output: "user_vector", batches, index, users };
        const { queries, ...found } = await search.searchUsers(asked, 40, filters);
        const vectors = (await executor.runUsers(batches, index, {}, {}))["user_vector"] as Float32Array;
        assert.equal(queries, vectors);
        assert.equal(found, await search.search(vectors, 40, filters));
      }
    }
    const asked = { executor, output: "user_vector", batches: native, index: 0, users: 90 };
    const refuse = (change: object, code: ErrorCode, message: string) =>
      expectError(search.searchUsers({ ...asked, ...change }, 5), code, message);
    await refuse(
      { users: 91 },
      "ERR_INPUT",
      `Expected queries of ${91 * width} elements but the run computed ${90 * width}`,
    );
    await refuse({ output: "items" }, "ERR_INPUT", 'Expected the Program to have a float32 output "items"');
    await refuse({ index: last + 1 }, "ERR_OPTION", `Expected batch from 0 to ${last}`);
    search.close();
    await expectError(search.searchUsers(asked, 5), "ERR_EXECUTOR", "The search is closed");
  }));

test("the reference engine runs batches of users, too", () =>
  withModel(async (_, clicks, folder) => {
    using engine = createReferenceEngine({ ops: OPS });
    using model = await openModel(folder, { engine });
    const options = { clicks, window: model.description.config.window, batchSize: 5 };
    const batch = new NextClickBatches(options).batch(1);
    const users = await model.runUsers(["user_vector"], engine.createUserBatches(options), 1);
    assert.equal(users, await model.run(["user_vector"], batch.inputs, batch.dims));
  }));

test("inputs of a call may change as soon as it returns", () =>
  withModel(async (model, clicks) => {
    const batches = model.engine.createUserBatches({ clicks, window: 3, batchSize: 700 });
    const { inputs, dims } = extras(clicks, 0, 700);
    const expected = await model.runUsers(OUTPUTS, batches, 0, inputs, dims);
    const changed = model.runUsers(OUTPUTS, batches, 0, inputs, dims);
    inputs.excluded.fill(1);
    assert.equal(await changed, expected);
  }));

test("what does not fit is refused, and so is everything once the model is closed", () =>
  withModel(async (model, clicks) => {
    const batches = model.engine.createUserBatches({ clicks, window: 3, batchSize: 100 });
    const { inputs, dims } = extras(clicks, 0, 100);
    const run = (index: number, given: object, sizes: object) =>
      model.runUsers(OUTPUTS, batches, index, { ...given }, { ...sizes });
    await expectError(run(7, inputs, dims), "ERR_OPTION", "Expected batch from 0 to 6 but received 7");
    await expectError(run(-1, inputs, dims), "ERR_INPUT", "Expected batch to be a whole number");
    await expectError(run(0, {}, dims), "ERR_INPUT", "excluded");
    await expectError(run(0, inputs, { excluded: dims.excluded }), "ERR_INPUT", /./);
    await expectError(run(0, inputs, { ...dims, top: -1 }), "ERR_INPUT", "top");
    await expectError(run(0, { ...inputs, excluded: [1] }, dims), "ERR_INPUT", "excluded");
    await expectError(run(0, { ...inputs, excluded: Int32Array.of(77) }, { ...dims, excluded: 1 }), "ERR_INPUT", /./);
    const broken = {
      ...clicks,
      itemFeatures: [{ ...clicks.itemFeatures[0]!, ids: new Int32Array(clicks.clicks).fill(77) }],
    };
    const outside = model.engine.createUserBatches({ clicks: broken, window: 3, batchSize: 100 });
    await expectError(model.runUsers(["user_vector"], outside, 0), "ERR_INPUT", /./);
    await run(0, inputs, dims);
    model.close();
    await expectError(run(0, inputs, dims), "ERR_EXECUTOR", "closed");
  }));

test.run();
