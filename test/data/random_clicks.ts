import type { Clicks } from "../../src/data/clicks.js";
import { clickTimes } from "../../src/data/times.js";
import { clickWeights } from "../../src/data/weights.js";
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

/**
 * The same clicks of users who have languages and searches: a column whose queries come between the clicks, and one
 * whose queries come before all of them. Some users and queries have none.
 */
export function withSearches(clicks: Clicks, seed = 1): Clicks {
  const random = new RandomStream(seed, STREAMS.simulate);
  /** Offsets of groups of up to `most` elements, and at least `least`. */
  const groups = (count: number, least: number, most: number) => {
    const offsets = new Int32Array(count + 1);
    for (let g = 0; g < count; g++) offsets[g + 1] = offsets[g]! + least + random.below(most - least + 1);
    return offsets;
  };
  const searches = (name: string, most: number) => {
    const queryOffsets = groups(clicks.users, 0, most);
    const offsets = groups(queryOffsets.at(-1)!, 0, 4);
    const ids = Int32Array.from({ length: offsets.at(-1)! }, () => 1 + random.below(TOKENS - 1));
    return { name, queryOffsets, offsets, ids };
  };
  const mixed = searches("searches", 150);
  const before = new Int32Array(clicks.clicks);
  for (let user = 0; user < clicks.users; user++) {
    const counts = before.subarray(clicks.clickOffsets[user], clicks.clickOffsets[user + 1]);
    const queries = mixed.queryOffsets[user + 1]! - mixed.queryOffsets[user]!;
    counts.forEach((_, c) => {
      counts[c] = random.below(queries + 1);
    });
    counts.sort();
  }
  const offsets = groups(clicks.users, 1, 3);
  const languages = Int32Array.from({ length: offsets.at(-1)! }, () => random.below(LANGUAGES));
  return {
    ...clicks,
    userFeatures: [...clicks.userFeatures, { name: "languages", ids: languages, offsets }],
    searches: [{ ...mixed, before }, searches("past", 60)],
  };
}

/** Numbers of tokens of searches and of languages. */
export const [TOKENS, LANGUAGES] = [40, 5];

/** The same clicks with times, some of which are missing. */
export function withTimes(clicks: Clicks, seed = 1): Clicks {
  const random = new RandomStream(seed, STREAMS.simulate);
  const time = () => (random.uniform() < 0.1 ? Number.NaN : 1.65e9 + 1e6 * random.uniform());
  return { ...clicks, times: clickTimes(Float64Array.from({ length: clicks.clicks }, time)) };
}

/** The same clicks, of which only the last ones of each user may be targets, and all or none of some users'. */
export function withTargets(clicks: Clicks, seed = 1): Clicks {
  const random = new RandomStream(seed, STREAMS.simulate);
  const targets = clicks.itemFeatures[0]!.ids.slice();
  for (let user = 0; user < clicks.users; user++) {
    const [start, end] = [clicks.clickOffsets[user]!, clicks.clickOffsets[user + 1]!];
    targets.fill(0, start, start + random.below(end - start + 1));
  }
  return { ...clicks, targets };
}

/** The same clicks with weights from 0 to 3, some of which are 0. */
export function withWeights(clicks: Clicks, seed = 1): Clicks {
  const random = new RandomStream(seed, STREAMS.simulate);
  const weight = () => (random.uniform() < 0.2 ? 0 : 3 * random.uniform());
  return { ...clicks, weights: clickWeights("weight", Float32Array.from({ length: clicks.clicks }, weight)) };
}

/** The same clicks with two numbers, some of which are missing. */
export function withNumbers(clicks: Clicks, seed = 1): Clicks {
  const random = new RandomStream(seed, STREAMS.simulate);
  const number = () => (random.uniform() < 0.2 ? Number.NaN : 10 * random.uniform());
  const values = () => Float32Array.from({ length: clicks.clicks }, number);
  return {
    ...clicks,
    clickNumbers: [
      { name: "price", values: values(), mean: 5, standardDeviation: 3 },
      { name: "watched", values: values(), mean: 4, standardDeviation: 0 },
    ],
  };
}

/** Numbers of clicks of the users. */
export const LENGTHS = [1, 2, 3, 5, 4, 40, 1, 13, 6, 12, 1, 25];
