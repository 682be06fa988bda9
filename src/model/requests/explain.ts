import { historyStart } from "../../data/batches.js";
import type { Clicks, ItemValues } from "../../data/clicks.js";
import { gatherGroups, numbersOfClicks, searchesOfUsers, valuesOfUsers } from "../../data/groups.js";
import type { Model } from "../model.js";
import type { ContributingClick, RecommendedByModel } from "./answers.js";
import { indexOfId } from "./candidates.js";

/** Number of clicks that are named for each item. */
const CLICKS_PER_ITEM = 3;
/** Largest number of clicks, the latest ones, whose effect is computed. */
const MOST_CLICKS = 64;

/** Returns the scores [users, ids] of items, given as ids in rising order, for some users. */
export type ScoresOf = (users: Clicks, ids: Int32Array) => Promise<Float32Array>;

/**
 * Adds to each item of a user's shortlist the clicks of the history that contributed most to its score. The effect of a
 * click is the item's score minus its score for the same history without this click. Clicks that the model does not
 * read, because they are before the window, have no effect.
 */
export async function explainItems(
  model: Model,
  clicks: Clicks,
  user: number,
  items: readonly RecommendedByModel[],
  scoresOf: ScoresOf,
): Promise<RecommendedByModel[]> {
  const { window, windows } = model.description.config;
  const [userStart, end] = [clicks.clickOffsets[user]!, clicks.clickOffsets[user + 1]!];
  const start = historyStart(userStart, end, window, windows);
  const first = Math.max(start, end - MOST_CLICKS);
  if (first === end || items.length === 0) return items.map((item) => ({ ...item, because: [] }));
  const ids = Int32Array.from(items, ({ id }) => id).sort();
  const without = await scoresOf(withoutEach(clicks, user, start, first, end), ids);
  const clicked = clicks.itemFeatures[0]!.ids.subarray(first, end);
  const cosineOf = cosines(model, ids, clicked);
  return items.map((item) => {
    const column = indexOfId(ids, item.id);
    const all = Array.from(clicked, (id, i): ContributingClick => {
      const effect = item.score - without[i * ids.length + column]!;
      return { item: model.items.token(id), position: first - userStart + i, effect, similarity: cosineOf(column, i) };
    });
    all.sort((a, b) => b.effect - a.effect || b.position - a.position);
    return { ...item, because: all.slice(0, CLICKS_PER_ITEM) };
  });
}

/** Users with the history start … end − 1 of `user`, each without another of the clicks first … end − 1. */
function withoutEach(clicks: Clicks, user: number, start: number, first: number, end: number): Clicks {
  const users = end - first;
  const length = end - start - 1;
  const same = new Int32Array(users).fill(user);
  const kept = Int32Array.from({ length: users * length }, (_, i) => {
    const [left, click] = [first + Math.floor(i / length), start + (i % length)];
    return click < left ? click : click + 1;
  });
  return {
    users,
    clicks: kept.length,
    clickOffsets: Int32Array.from({ length: users + 1 }, (_, i) => i * length),
    userFeatures: clicks.userFeatures.map((feature) => valuesOfUsers(feature, same)),
    ...(clicks.searches && { searches: clicks.searches.map((searches) => searchesOfUsers(searches, same)) }),
    numbers: clicks.numbers.map((number) => ({
      ...number,
      values: new Float32Array(users).fill(number.values[user]!),
    })),
    itemFeatures: clicks.itemFeatures.map((feature) => valuesOfClicks(feature, kept)),
    ...(clicks.times && { times: { ...clicks.times, values: new Float64Array(kept.length).fill(Number.NaN) } }),
    ...(clicks.clickNumbers && { clickNumbers: clicks.clickNumbers.map((number) => numbersOfClicks(number, kept)) }),
  };
}

function valuesOfClicks({ name, ids, offsets }: ItemValues, clicks: Int32Array): ItemValues {
  if (!offsets) return { name, ids: clicks.map((click) => ids[click]!), offsets: undefined };
  return { name, ...gatherGroups(ids, offsets, clicks) };
}

/** Returns the cosine between the output weights of item `items[i]` and `clicked[j]`; 0 for `<unk>`. */
function cosines({ store, description }: Model, items: Int32Array, clicked: Int32Array) {
  const width = description.config.userVectorWidth;
  const [left, right] = [items, clicked].map((ids) => store.readRows("output.weight", ids));
  const dot = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number) => {
    let sum = 0;
    for (let c = 0; c < width; c++) sum += a[i * width + c]! * b[j * width + c]!;
    return sum;
  };
  return (i: number, j: number): number => {
    if (clicked[j] === 0) return 0;
    const norms = Math.sqrt(dot(left!, i, left!, i) * dot(right!, j, right!, j));
    return norms > 0 ? dot(left!, i, right!, j) / norms : 0;
  };
}
