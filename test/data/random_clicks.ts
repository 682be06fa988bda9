import type { Clicks } from "../../src/data/clicks.js";
import { clickTimes } from "../../src/data/times.js";
import { RandomStream, STREAMS } from "../../src/random/philox.js";

const ITEMS = 9;

/**
 * Random clicks. Click c has category c + 1 and the tags 10c + 1 …, so the features of a position identify its click.
 */
export function randomClicks(lengths: readonly number[], unknownShare: number, seed = 1): Clicks {
  const random = new RandomStream(seed, STREAMS.simulate);
  const clickOffsets = [0];
  for (const length of lengths) clickOffsets.push(clickOffsets.at(-1)! + length);
  const clicks = clickOffsets.at(-1)!;
  const items = Int32Array.from({ length: clicks }, () =>
    random.uniform() < unknownShare ? 0 : 1 + random.below(ITEMS - 1),
  );
  const tags: number[] = [];
  const tagOffsets = [0];
  for (let c = 0; c < clicks; c++) {
    for (let left = 1 + random.below(3); left > 0; left--) tags.push(10 * c + left);
    tagOffsets.push(tags.length);
  }
  const users = Array.from(lengths, (_, u) => u);
  return {
    users: lengths.length,
    clicks,
    clickOffsets: Int32Array.from(clickOffsets),
    userFeatures: [
      { name: "user_id", ids: Int32Array.from(users) },
      { name: "city", ids: Int32Array.from(users, (u) => u % 3) },
    ],
    numbers: [
      {
        name: "age",
        values: Float32Array.from(users, (u) => (u % 4 === 1 ? Number.NaN : u)),
        mean: 2,
        standardDeviation: 4,
      },
      { name: "same", values: Float32Array.from(users, () => 5), mean: 4, standardDeviation: 0 },
    ],
    itemFeatures: [
      { name: "item", ids: items, offsets: undefined },
      { name: "category", ids: Int32Array.from(items, (_, c) => c + 1), offsets: undefined },
      { name: "tags", ids: Int32Array.from(tags), offsets: Int32Array.from(tagOffsets) },
    ],
  };
}

/** The same clicks with times, some of which are missing. */
export function withTimes(clicks: Clicks, seed = 1): Clicks {
  const random = new RandomStream(seed, STREAMS.simulate);
  const time = () => (random.uniform() < 0.1 ? Number.NaN : 1.65e9 + 1e6 * random.uniform());
  return { ...clicks, times: clickTimes(Float64Array.from({ length: clicks.clicks }, time)) };
}

/** Numbers of clicks of the users. */
export const LENGTHS = [1, 2, 3, 5, 4, 40, 1, 13, 6, 12, 1, 25];
