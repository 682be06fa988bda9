import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type Batch,
  createTrainingBatches,
  LastClickBatches,
  NextClickBatches,
  SharedBatches,
  ShuffledBatches,
  type TrainingBatches,
  type TrainingBatchOptions,
} from "../../src/data/batches.js";
import type { Clicks } from "../../src/data/clicks.js";
import { clickTimes } from "../../src/data/times.js";
import { LENGTHS, randomClicks, withTargets, withTimes } from "./random_clicks.js";

/**
 * Reads the samples of a batch back through all its ranges, and describes each as text: its user, the clicks of its
 * history (the category of a click is its index + 1), its target.
 */
function samplesOf(clicks: Clicks, batch: Batch, hasTarget: boolean): string[] {
  const inputs = batch.inputs as Record<string, Int32Array>;
  const { samples, positions, sequences, timesteps } = batch.dims as Record<string, number>;
  const [item, category, tags, tagOffsets] = ["item", "category", "tags", "tags_offsets"].map((name) => inputs[name]!);
  assert.is(item!.length, positions);
  assert.is(category!.length, positions);
  assert.is(tagOffsets!.length, positions! + 1);
  assert.is(tags!.length, batch.dims["tags"]);
  assert.is(tagOffsets![positions!], tags!.length);
  assert.is(inputs["timestep_position"]!.length, timesteps);
  assert.is(inputs["sequence_offsets"]!.length, sequences! + 1);
  assert.is(inputs["sequence_offsets"]![0], 0);
  assert.is(inputs["sequence_offsets"]![sequences!], timesteps);
  assert.is("target" in inputs, hasTarget);
  const userOffsets = inputs["user_offsets"];
  if (userOffsets) {
    assert.is(userOffsets.length, batch.dims["users"]! + 1);
    assert.is(userOffsets[0], 0);
    assert.is(userOffsets.at(-1), samples);
    assert.is(inputs["user_id"]!.length, batch.dims["users"]);
  }
  const distinct = inputs["distinct_item"];
  if (distinct) {
    assert.equal([...distinct], [...new Set(item)]);
    assert.is(distinct.length, batch.dims["distinct"]);
    const read = inputs["timestep_item"]!.map((place) => distinct[place]!);
    assert.equal(
      read,
      inputs["timestep_position"]!.map((position) => item![position]!),
    );
  }
  for (let r = 0; r < sequences!; r++)
    assert.ok(inputs["sequence_offsets"]![r]! < inputs["sequence_offsets"]![r + 1]!, "no sequence is empty");

  /** Returns the click at a position, or −1 for `<unk>`, and compares its features with the log. */
  const clickAt = (position: number): number => {
    const click = category![position]! - 1;
    const positionTags = [...tags!.subarray(tagOffsets![position]!, tagOffsets![position + 1]!)];
    if (click < 0) {
      assert.equal([item![position], ...positionTags], [0, 0], "<unk> has one <unk> tag");
    } else {
      const { ids, offsets } = clicks.itemFeatures[2]!;
      assert.equal(positionTags, [...ids.subarray(offsets![click]!, offsets![click + 1]!)]);
      assert.is(item![position], clicks.itemFeatures[0]!.ids[click]);
    }
    return click;
  };
  return Array.from({ length: samples! }, (_, s) => {
    const range = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i);
    const pooled = range(inputs["sample_start"]![s]!, inputs["sample_end"]![s]!).map(clickAt);
    const timestepRange = range(inputs["timestep_start"]![s]!, inputs["timestep_end"]![s]!);
    const sequence = timestepRange.map((timestep) => clickAt(inputs["timestep_position"]![timestep]!));
    assert.equal(sequence, pooled, "the LSTM reads what is pooled");
    assert.ok(inputs["sequence_offsets"]!.includes(timestepRange[0]!), "the timesteps are a prefix of a sequence");
    const sequenceEnd = inputs["sequence_offsets"]!.find((offset) => offset > timestepRange[0]!)!;
    assert.ok(inputs["timestep_end"]![s]! <= sequenceEnd, "the timesteps lie in one sequence");
    const row = userOffsets ? userOffsets.findIndex((offset) => offset > s) - 1 : s;
    const user = inputs["user_id"]![row]!;
    assert.is(inputs["city"]![row], user % 3);
    const numbers = [...(batch.inputs["numbers"] as Float32Array).subarray(2 * row, 2 * row + 2)];
    assert.equal(numbers, [user % 4 === 1 ? 0 : (user - 2) / 4, 1]);
    return `${user}: ${pooled} > ${hasTarget ? inputs["target"]![s] : ""}`;
  });
}

/** The samples by definition: one for each click whose item is known. */
function expectedSamples(clicks: Clicks, window: number, windows: Windows): string[] {
  const samples: string[] = [];
  for (let user = 0; user < clicks.users; user++) {
    const [start, end] = [clicks.clickOffsets[user]!, clicks.clickOffsets[user + 1]!];
    for (let click = start; click < end; click++) {
      const target = (clicks.targets ?? clicks.itemFeatures[0]!.ids)[click]!;
      if (target !== 0) samples.push(`${user}: ${historyOf(start, click, window, windows)} > ${target}`);
    }
  }
  return samples;
}

type Windows = "sliding" | "growing";

function historyOf(start: number, click: number, window: number, windows: Windows = "sliding"): number[] {
  const length = Math.min(click - start, windows === "growing" ? grown(click - start, window) : window);
  return length === 0 ? [-1] : Array.from({ length }, (_, i) => click - length + i);
}

/** Start of the history: it has between `window` and twice as many clicks, and begins at a multiple of `window`. */
function grown(before: number, window: number): number {
  const beyond = Math.max(0, before - 2 * window);
  return before - Math.ceil(beyond / window) * window;
}

function epochOf(batches: TrainingBatches, epoch: number): Batch[] {
  return Array.from({ length: batches.batchesPerEpoch }, (_, index) => batches.batch(epoch, index));
}

type Make = (options: TrainingBatchOptions) => TrainingBatches;

const TRAINING: [string, Windows, Make][] = (["sliding", "growing"] as const).flatMap((windows) => {
  const using = (changes: Partial<TrainingBatchOptions>): Make => {
    return (options) => createTrainingBatches({ ...options, windows, ...changes });
  };
  return [
    [`${windows}, shuffled`, windows, using({})],
    [`${windows}, shared`, windows, using({ batching: "shared" })],
    [`${windows}, shared in parts`, windows, using({ batching: "shared", maxPart: 4 })],
    [`${windows}, shared, one row for each user`, windows, using({ batching: "shared", groupUsers: true })],
    [`${windows}, shuffled, one row for each user`, windows, using({ groupUsers: true })],
    [`${windows}, shared, one row for each distinct item`, windows, using({ batching: "shared", distinctItems: true })],
    [`${windows}, shuffled, one row for each distinct item`, windows, using({ distinctItems: true })],
  ];
});

for (const [name, windows, make] of TRAINING) {
  test(`${name}: every sample exactly once an epoch, each as the definition says`, () => {
    for (const unknownShare of [0, 0.3, 0.8]) {
      for (const window of [1, 3, 10, 100]) {
        for (const batchSize of [1, 2, 7, 16, 1000]) {
          const clicks = randomClicks(LENGTHS, unknownShare, window + batchSize);
          const batches = make({ clicks, window, batchSize, seed: 5 });
          const expected = expectedSamples(clicks, window, windows).sort();
          assert.is(batches.samplesPerEpoch, expected.length);
          assert.is(batches.batchesPerEpoch, Math.ceil(expected.length / batchSize));
          const built = epochOf(batches, 0);
          built.forEach((batch, index) => {
            const full = index < built.length - 1;
            assert.is(batch.dims["samples"], full ? batchSize : expected.length - batchSize * (built.length - 1));
          });
          assert.equal(built.flatMap((batch) => samplesOf(clicks, batch, true)).sort(), expected);
          const some = withTargets(clicks, batchSize);
          const ofSome = epochOf(make({ clicks: some, window, batchSize, seed: 5 }), 0);
          const samples = ofSome.flatMap((batch) => samplesOf(some, batch, true));
          assert.equal(samples.sort(), expectedSamples(some, window, windows).sort(), "only some clicks are targets");
        }
      }
    }
  });

  test(`${name}: any batch can be built at any time, and seed and epoch decide the order`, () => {
    const clicks = randomClicks(LENGTHS, 0.1);
    const options = { clicks, window: 5, batchSize: 8, seed: 5 };
    const first = epochOf(make(options), 3);
    const again = make(options);
    epochOf(again, 0);
    again.batch(4, 1);
    for (let index = first.length - 1; index >= 0; index--) assert.equal(again.batch(3, index), first[index]);
    const order = (batches: readonly Batch[]) => batches.flatMap((batch) => samplesOf(clicks, batch, true)).join("\n");
    assert.is.not(order(epochOf(again, 4)), order(first));
    assert.is.not(order(epochOf(make({ ...options, seed: 6 }), 3)), order(first));
    for (const [epoch, index] of [
      [0, first.length],
      [0, -1],
      [-1, 0],
      [0, 0.5],
    ] as const) {
      assert.throws(() => again.batch(epoch, index), /Expected (batch|epoch) from 0 to/);
    }
  });
}

const WORLDS = [1, 2, 3, 8, 50];

for (const [name, , make] of TRAINING) {
  test(`${name}: the shares of all ranks in rank order are the samples of the batch`, () => {
    const clicks = randomClicks([...LENGTHS, 30], 0.2);
    for (const batchSize of [1, 7, 16, 1000]) {
      const options = { clicks, window: 3, batchSize, seed: 5 };
      const alone = make(options);
      const whole = epochOf(alone, 1);
      for (const world of WORLDS) {
        const ranks = Array.from({ length: world }, (_, rank) => make({ ...options, world, rank }));
        for (const { samplesPerEpoch, batchesPerEpoch } of ranks) {
          assert.equal([samplesPerEpoch, batchesPerEpoch], [alone.samplesPerEpoch, alone.batchesPerEpoch]);
        }
        const shares = ranks.map((batches) => epochOf(batches, 1));
        if (world === 1) assert.equal(shares[0], whole);
        whole.forEach((batch, index) => {
          const expected = samplesOf(clicks, batch, true);
          const samples = shares.map((batches) => samplesOf(clicks, batches[index]!, true));
          assert.equal(samples.flat(), expected, `batch ${index} of ${batchSize} by ${world}`);
          const sizes = samples.map(({ length }) => length);
          assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `shares of one size but for a sample: ${sizes}`);
        });
        const last = whole.length - 1;
        assert.equal(ranks[world - 1]!.batch(1, last), shares[world - 1]![last], "at any time");
      }
    }
  });
}

test("shuffled: nothing is shared", () => {
  const clicks = randomClicks(LENGTHS, 0);
  for (const { dims, inputs } of epochOf(new ShuffledBatches({ clicks, window: 4, batchSize: 16, seed: 1 }), 0)) {
    assert.is(dims["sequences"], dims["samples"]);
    assert.is(dims["timesteps"], dims["positions"]);
    assert.equal(inputs["sample_start"], inputs["timestep_start"]);
    assert.is(dims["positions"], inputs["sample_end"]!.at(-1));
  }
});

test("shared: a user's positions are stored once and the first histories are one sequence", () => {
  const window = 4;
  for (const length of [1, 2, 5, 6, 30]) {
    const clicks = randomClicks([length], 0);
    const { dims } = new SharedBatches({ clicks, window, batchSize: 1000, seed: 1 }).batch(0, 0);
    const later = Math.max(0, length - 1 - window);
    assert.is(dims["positions"], length, "the <unk> position and every click but the last");
    assert.is(dims["sequences"], length === 1 ? 1 : 2 + later);
    assert.is(dims["timesteps"], 1 + Math.min(window, length - 1) + window * later);
  }
});

test("shared: clicks that no history reads are left out", () => {
  const clicks = randomClicks([20], 0);
  const { ids } = clicks.itemFeatures[0]!;
  ids.fill(0);
  ids[2] = ids[18] = 3;
  const { dims, inputs } = new SharedBatches({ clicks, window: 3, batchSize: 10, seed: 1 }).batch(0, 0);
  assert.is(dims["positions"], 5);
  assert.equal([...(inputs["category"] as Int32Array)], [1, 2, 16, 17, 18]);
});

test("growing and shared: one sequence a stretch, positions once, two timesteps a target", () => {
  const window = 4;
  const clicks = randomClicks([4 * window + 2], 0);
  const options = { clicks, window, windows: "growing", batching: "shared", batchSize: 1000, seed: 1 } as const;
  const { dims, inputs } = createTrainingBatches(options).batch(0, 0);
  assert.equal(dims, { samples: 18, positions: 18, sequences: 5, timesteps: 1 + 8 + 8 + 8 + 5, tags: dims["tags"] });
  assert.equal([...inputs["sequence_offsets"]!], [0, 1, 9, 17, 25, 30]);
  const lengths = inputs["sample_end"]!.map((end, s) => end - inputs["sample_start"]![s]!);
  assert.equal([...lengths], [1, 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7, 8, 5]);
});

test("growing and shared: parts are whole stretches, and a stretch that does not fit is continued", () => {
  const clicks = randomClicks([200, 3, 150], 0.2);
  const options = { clicks, window: 5, windows: "growing", batching: "shared", batchSize: 7, seed: 1 } as const;
  for (const maxPart of [undefined, 6, 100]) {
    const batches = epochOf(createTrainingBatches({ ...options, ...(maxPart && { maxPart }) }), 0);
    const samples = batches.flatMap((batch) => samplesOf(clicks, batch, true));
    assert.equal([...samples].sort(), expectedSamples(clicks, 5, "growing").sort());
  }
  const whole = createTrainingBatches({ ...options, batchSize: 1000, maxPart: 1 }).batch(0, 0);
  const users = [...whole.inputs["user_id"]!];
  assert.ok(users.filter((user, s) => user !== users[s - 1]).length > 5, "parts of a user are shuffled on their own");
  const stretches = Math.ceil((200 - 10) / 5) + Math.ceil((150 - 10) / 5) + 3;
  assert.ok(whole.dims["sequences"]! <= stretches + 3, "no stretch is cut");
});

test("last-click batches hold every user in order, known target or not", () => {
  const clicks = randomClicks(LENGTHS, 0.4);
  for (const [batchSize, windows] of [
    [1, "sliding"],
    [5, "growing"],
    [100, "growing"],
  ] as const) {
    const batches = new LastClickBatches({ clicks, window: 6, windows, batchSize });
    const built = Array.from({ length: batches.batches }, (_, index) => batches.batch(index));
    const expected = LENGTHS.map((_, user) => {
      const [start, last] = [clicks.clickOffsets[user]!, clicks.clickOffsets[user + 1]! - 1];
      return `${user}: ${historyOf(start, last, 6, windows)} > ${clicks.itemFeatures[0]!.ids[last]}`;
    });
    assert.ok(expected.some((sample) => sample.endsWith("> 0")));
    assert.equal(
      built.flatMap((batch) => samplesOf(clicks, batch, true)),
      expected,
    );
    assert.throws(() => batches.batch(batches.batches), /Expected batch from 0 to/);
  }
});

test("next-click batches read the last clicks and have no target", () => {
  const clicks = randomClicks(LENGTHS, 0.4);
  for (const windows of ["sliding", "growing"] as const) {
    const batches = new NextClickBatches({ clicks, window: 6, windows, batchSize: 5 });
    const built = Array.from({ length: batches.batches }, (_, index) => batches.batch(index));
    const expected = LENGTHS.map((_, user) => {
      const [start, end] = [clicks.clickOffsets[user]!, clicks.clickOffsets[user + 1]!];
      return `${user}: ${historyOf(start, end, 6, windows)} > `;
    });
    assert.equal(
      built.flatMap((batch) => samplesOf(clicks, batch, false)),
      expected,
    );
  }
});

test("training batches have the age of each target, by the training log's range of times", () => {
  const clicks = randomClicks([1, 4], 0);
  const values = Float64Array.of(10, 30, Number.NaN, 25, 14);
  clicks.itemFeatures[0]!.ids.set([1, 2, 3, 4, 5]);
  const ages = [1, 0, 1, 0.25, 0.8];
  const dated = { ...clicks, times: clickTimes(values) };
  for (const [name, windows, make] of TRAINING) {
    const [batch] = epochOf(make({ clicks: dated, window: 2, windows, batchSize: 5, seed: 1 }), 0);
    assert.is(batch!.inputs["example_age"]!.length, 15, name);
    batch!.inputs["target"]!.forEach((target, s) => {
      const age = ages[target - 1]!;
      const expected = [...Float32Array.of(age, age ** 2, Math.sqrt(age))];
      assert.equal(
        [...batch!.inputs["example_age"]!.subarray(3 * s, 3 * s + 3)],
        expected,
        `${name}: target ${target}`,
      );
    });
  }
  for (const same of [7, Number.NaN]) {
    const times = clickTimes(new Float64Array(5).fill(same));
    const { inputs } = new ShuffledBatches({ clicks: { ...clicks, times }, window: 2, batchSize: 5, seed: 1 }).batch(
      0,
      0,
    );
    assert.ok(inputs["example_age"]!.every((age) => age === (same === 7 ? 0 : 1)));
  }
  assert.is(
    "example_age" in new ShuffledBatches({ clicks, window: 2, batchSize: 5, seed: 1 }).batch(0, 0).inputs,
    false,
  );
});

test("batches of users in order ask for the clicks of now: age 0 whatever the times", () => {
  const clicks = withTimes(randomClicks(LENGTHS, 0.2));
  for (const batches of [new LastClickBatches({ clicks, window: 3 }), new NextClickBatches({ clicks, window: 3 })]) {
    assert.equal(batches.batch(0).inputs["example_age"], new Float32Array(3 * LENGTHS.length));
  }
});

test("clicks without number features have no numbers, and impossible options are refused", () => {
  const clicks = { ...randomClicks(LENGTHS, 0), numbers: [] };
  const options = { clicks, window: 3, batchSize: 4, seed: 1 };
  assert.is("numbers" in new ShuffledBatches(options).batch(0, 0).inputs, false);
  assert.throws(() => new ShuffledBatches({ ...options, window: 0 }), /window to be a whole number above 0/);
  assert.throws(() => new SharedBatches({ ...options, batchSize: 1.5 }), /batchSize to be a whole number above 0/);
  assert.throws(() => new SharedBatches({ ...options, maxPart: 0 }), /maxPart to be a whole number above 0/);
  assert.throws(() => new SharedBatches({ ...options, seed: -1 }), /Expected seed/);
  for (const world of [0, 1.5, 65_537, Number.NaN]) {
    assert.throws(() => new ShuffledBatches({ ...options, world }), /Expected world from 1 to 65536 but received/);
  }
  for (const rank of [2, -1, 0.5, Number.NaN]) {
    assert.throws(() => new SharedBatches({ ...options, world: 2, rank }), /Expected rank from 0 to 1 but received/);
  }
  assert.throws(() => new SharedBatches({ ...options, rank: 1 }), /Expected rank from 0 to 0 but received 1/);
});

test.run();
