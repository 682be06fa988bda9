import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  createTrainingBatches,
  NextClickBatches,
  type TrainingBatchOptions,
  type UserBatchOptions,
} from "../../src/data/batches.js";
import type { Clicks, Searches } from "../../src/data/clicks.js";
import { clickTimes } from "../../src/data/times.js";
import { ShortlistError } from "../../src/errors.js";
import { createEngine } from "../../src/executors/index.js";
import {
  LENGTHS,
  randomClicks,
  withNumbers,
  withSearches,
  withTargets,
  withTimes,
  withWeights,
} from "./random_clicks.js";

const engine = createEngine({ threads: 1 });

const KINDS: Partial<TrainingBatchOptions>[] = (["sliding", "growing"] as const).flatMap((windows) => [
  { windows, batching: "shuffled" },
  { windows, batching: "shared" },
  { windows, batching: "shared", maxPart: 3 },
  { windows, batching: "shared", groupUsers: true },
  { windows, batching: "shuffled", groupUsers: true },
  { windows, batching: "shared", distinctItems: true },
  { windows, batching: "shuffled", groupUsers: true, distinctItems: true },
]);

function expectSame(options: TrainingBatchOptions, epoch: number, order: (count: number) => number[], what: string) {
  const reference = createTrainingBatches(options);
  const native = engine.createTrainingBatches(options);
  assert.is(native.samplesPerEpoch, reference.samplesPerEpoch, what);
  assert.is(native.batchesPerEpoch, reference.batchesPerEpoch, what);
  for (const index of order(reference.batchesPerEpoch)) {
    const [expected, received] = [reference.batch(epoch, index), native.batch(epoch, index)];
    assert.equal(received.dims, expected.dims, `${what}: batch ${index}`);
    assert.equal(Object.keys(received.inputs).sort(), Object.keys(expected.inputs).sort());
    for (const [name, values] of Object.entries(expected.inputs)) {
      assert.equal(received.inputs[name], values, `${what}: batch ${index}, ${name}`);
    }
  }
}

const inOrder = (count: number) => Array.from({ length: count }, (_, index) => index);

for (const kind of KINDS) {
  test(`the native batcher builds the reference's batches, array for array: ${Object.values(kind).join(", ")}`, () => {
    for (const unknownShare of [0, 0.3, 0.9]) {
      for (const window of [1, 2, 5, 100]) {
        for (const batchSize of [1, 7, 64, 5000]) {
          const clicks = withTimes(randomClicks([...LENGTHS, 90, 64, 1, 1], unknownShare, window + batchSize));
          const options = { clicks, window, batchSize, seed: 9, ...kind };
          expectSame(options, 2, inOrder, JSON.stringify({ unknownShare, window, batchSize }));
          expectSame({ ...options, clicks: withTargets(clicks, batchSize) }, 2, inOrder, "only some targets");
          const searched = withNumbers(withWeights(withSearches(clicks, batchSize)), batchSize);
          expectSame({ ...options, clicks: searched }, 2, inOrder, JSON.stringify({ window, batchSize }));
        }
      }
    }
  });

  test(`any batch at any time: ${Object.values(kind).join(", ")}`, () => {
    const clicks = randomClicks([...LENGTHS, 90, 64, 1, 1], 0.2);
    const options = { clicks, window: 4, batchSize: 6, seed: 4294967295, ...kind };
    expectSame(options, 0, (count) => [count - 1, 0, 5, 4, 4, count - 2, 1], "at any time");
    expectSame(options, 4294967295, (count) => inOrder(count).reverse(), "backwards");
    const native = engine.createTrainingBatches(options);
    const reference = createTrainingBatches(options);
    for (const [epoch, index] of [
      [1, 3],
      [2, 3],
      [1, 4],
      [1, 1],
    ] as const)
      assert.equal(native.batch(epoch, index), reference.batch(epoch, index));
  });
}

for (const kind of KINDS) {
  test(`every rank's shares are the reference's, array for array: ${Object.values(kind).join(", ")}`, () => {
    const clicks = withSearches(withTimes(randomClicks([...LENGTHS, 90, 64, 1, 1], 0.2)));
    for (const batchSize of [1, 7, 64, 5000]) {
      for (const world of [1, 2, 3, 8]) {
        for (let rank = 0; rank < world; rank++) {
          const options = { clicks, window: 4, batchSize, seed: 9, ...kind, world, rank };
          expectSame(options, 2, inOrder, JSON.stringify({ batchSize, world, rank }));
        }
      }
      const options = { clicks, window: 4, batchSize, seed: 9, ...kind, world: 5, rank: 2 };
      expectSame(options, 3, (count) => inOrder(count).reverse(), "backwards");
    }
  });
}

test("features as they come: no user features, no numbers, one item feature, arrays within larger buffers", () => {
  const clicks = randomClicks(LENGTHS, 0.2);
  const buffer = new Int32Array(clicks.clicks + 10);
  const ids = buffer.subarray(3, 3 + clicks.clicks);
  ids.set(clicks.itemFeatures[0]!.ids);
  const bare: Clicks = {
    ...clicks,
    userFeatures: [],
    numbers: [],
    itemFeatures: [{ ...clicks.itemFeatures[0]!, ids }],
  };
  for (const kind of KINDS) {
    expectSame({ clicks: bare, window: 5, batchSize: 11, seed: 1, ...kind }, 0, inOrder, JSON.stringify(kind));
  }
});

test("ages: of all times equal, of no time at all, far apart, far off, none", () => {
  const clicks = randomClicks(LENGTHS, 0.2);
  const farOff = (c: number) => (c % 7 === 3 ? 0 : c % 11 === 5 ? 1e12 : 1e9 + c);
  const huge = (c: number) => (-1) ** c * 1.7e308;
  for (const time of [
    () => 5,
    () => Number.NaN,
    (c: number) => (-1) ** c * 2 ** c,
    (c: number) => c / 3,
    farOff,
    huge,
  ]) {
    const times = clickTimes(Float64Array.from({ length: clicks.clicks }, (_, c) => time(c)));
    const options = { clicks: { ...clicks, times }, window: 5, batchSize: 11, seed: 1 };
    for (const kind of KINDS) expectSame({ ...options, ...kind }, 0, inOrder, String(time));
  }
  const native = engine.createTrainingBatches({ clicks, window: 5, batchSize: 11, seed: 1 });
  assert.is("example_age" in native.batch(0, 0).inputs, false);
});

test("batches of users are the reference's, array for array: every window, with and without times and features", () => {
  const clicks = randomClicks([0, ...LENGTHS, 90, 0, 64, 1, 1, 0], 0.2);
  const bare: Clicks = { ...clicks, userFeatures: [], numbers: [], itemFeatures: [clicks.itemFeatures[0]!] };
  for (const of of [clicks, withTimes(clicks), withWeights(withSearches(clicks)), withNumbers(clicks), bare]) {
    for (const windows of ["sliding", "growing", undefined] as const) {
      for (const window of [1, 2, 5, 100]) {
        for (const batchSize of [1, 7, undefined]) {
          const options: UserBatchOptions = { clicks: of, window, windows, batchSize };
          const [reference, native] = [new NextClickBatches(options), engine.createUserBatches(options)];
          assert.is(native.batches, reference.batches);
          for (let b = 0; b < native.batches; b++) {
            assert.is(native.firstUser(b), reference.firstUser(b));
            assert.equal(native.batch(b), reference.batch(b), JSON.stringify({ windows, window, batchSize, b }));
          }
        }
      }
    }
  }
  const none = randomClicks([], 0);
  assert.is(engine.createUserBatches({ clicks: none, window: 3 }).batches, 0);
});

test("nothing to learn from: no batches", () => {
  const clicks = randomClicks([1, 2], 1);
  for (const kind of KINDS) {
    const native = engine.createTrainingBatches({ clicks, window: 5, batchSize: 11, seed: 1, ...kind });
    assert.equal([native.samplesPerEpoch, native.batchesPerEpoch], [0, 0]);
  }
});

function errorOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return error instanceof ShortlistError ? `${error.code}: ${error.message}` : String(error);
  }
  return "no error";
}

test("malformed options are refused", () => {
  const clicks = randomClicks(LENGTHS, 0.2);
  const options = { clicks, window: 3, batchSize: 4, seed: 1 };
  const make = (changes: Partial<TrainingBatchOptions>) =>
    errorOf(() => engine.createTrainingBatches({ ...options, ...changes }));
  assert.match(make({ window: 0 }), /^ERR_OPTION: Expected window to be a whole number above 0/);
  assert.match(make({ batchSize: 1.5 }), /^ERR_OPTION: Expected batchSize/);
  assert.match(make({ maxPart: 0 }), /^ERR_OPTION: Expected maxPart/);
  assert.match(make({ seed: -1 }), /^ERR_OPTION: Expected seed/);
  assert.match(make({ world: 0 }), /^ERR_OPTION: Expected world from 1 to 65536 but received 0/);
  assert.match(make({ world: 3, rank: 3 }), /^ERR_OPTION: Expected rank from 0 to 2 but received 3/);
  const offsets = Int32Array.from(clicks.clickOffsets);
  offsets[1] = 100000;
  assert.match(
    make({ clicks: { ...clicks, clickOffsets: offsets } }),
    /^ERR_INPUT: Expected offsets of "click_offsets"/,
  );
  const searched = withSearches(clicks);
  const [mixed, past] = searched.searches! as [Searches, Searches];
  const languages = searched.userFeatures.at(-1)!;
  const broken: [Partial<Clicks>, RegExp][] = [
    [{ searches: [{ ...past, queryOffsets: past.queryOffsets.map((q) => q + 1) }] }, /offsets of "past"/],
    [{ searches: [{ ...past, offsets: past.offsets.slice().reverse() }] }, /offsets of "past"/],
    [{ searches: [{ ...mixed, before: mixed.before!.map((b) => b + 1000) }] }, /"before" of "searches"/],
    [{ searches: [{ ...mixed, before: mixed.before!.map((b) => b - 1000) }] }, /"before" of "searches"/],
    [{ userFeatures: [{ ...languages, ids: languages.ids.slice(1) }] }, /offsets of "languages"/],
  ];
  for (const [part, message] of broken) {
    const found = make({ clicks: { ...searched, ...part } });
    assert.match(found, /^ERR_INPUT: Expected /);
    assert.match(found, message);
  }
  const tooFew = { ...clicks.itemFeatures[1]!, ids: new Int32Array(3) };
  assert.match(
    make({ clicks: { ...clicks, itemFeatures: [clicks.itemFeatures[0]!, tooFew] } }),
    /^ERR_INPUT: Expected \d+ elements of int32 for "ids"/,
  );
  const times = { values: new Float64Array(3), earliest: 0, latest: 1, farOff: 0 };
  assert.match(make({ clicks: { ...clicks, times } }), /^ERR_INPUT: Expected \d+ elements of float64 for "values"/);
  const single = { ...times, values: new Float32Array(clicks.clicks) as unknown as Float64Array };
  assert.match(make({ clicks: { ...clicks, times: single } }), /^ERR_INPUT: Expected \d+ elements of float64/);
  const weights = { name: "weight", values: new Float32Array(3), mean: 1 };
  assert.match(make({ clicks: { ...clicks, weights } }), /^ERR_INPUT: Expected \d+ elements of float32 for "values"/);
  const number = { name: "price", values: new Float32Array(3), mean: 1, standardDeviation: 1 };
  const short = { ...clicks, clickNumbers: [number] };
  assert.match(make({ clicks: short }), /^ERR_INPUT: Expected \d+ elements of float32 for "values"/);
  const users = (changes: Partial<UserBatchOptions>) =>
    errorOf(() => engine.createUserBatches({ clicks, window: 3, ...changes }));
  assert.match(users({ window: 0 }), /^ERR_OPTION: Expected window/);
  assert.match(users({ batchSize: 0 }), /^ERR_OPTION: Expected batchSize/);
  assert.match(users({ windows: "wide" as "growing" }), /^ERR_OPTION: Expected windows/);
  assert.match(
    users({ clicks: { ...clicks, clickOffsets: offsets } }),
    /^ERR_INPUT: Expected offsets of "click_offsets"/,
  );
  const batches = engine.createUserBatches({ clicks, window: 3 });
  assert.match(
    errorOf(() => batches.batch(1)),
    /^ERR_OPTION: Expected batch from 0 to 0 but received 1/,
  );
  const native = engine.createTrainingBatches(options);
  assert.match(
    errorOf(() => native.batch(0, native.batchesPerEpoch)),
    /^ERR_OPTION: Expected batch from 0 to/,
  );
  assert.match(
    errorOf(() => native.batch(2 ** 32, 0)),
    /^ERR_OPTION: Expected batch/,
  );
  assert.match(
    errorOf(() => native.batch(0, -1)),
    /^ERR_INPUT: Expected batch to be a whole number/,
  );
});

test.run();
