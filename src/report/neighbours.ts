import type { Model } from "../model/model.js";

/** An item with those that are most similar to it. */
export interface ItemNeighbours {
  /** The title of the item; its token if it has none. */
  readonly title: string;
  /** The token of the item. */
  readonly item: string;
  /** Number of training clicks on it. */
  readonly clicks: number;
  readonly similar: readonly { readonly title: string; readonly similarity: number }[];
}

/** Number of items, and of neighbours of each. */
const [ITEMS, NEIGHBOURS] = [18, 5];

/**
 * The neighbours of a sample of the items: those at equal distances among all training clicks, sorted by popularity. So
 * the popular items are among them, and some rare ones. `titles` are those of the model, or tokens.
 */
export async function neighboursOf(model: Model, signal: AbortSignal | undefined): Promise<ItemNeighbours[]> {
  const { items, description } = model;
  const { counts } = items;
  const titleOf = (id: number) => description.titles?.titleOf(id) ?? items.token(id);
  const sample = sampleOf(counts);
  if (items.size < 3) return [];
  const top = Math.min(NEIGHBOURS, items.size - 2);
  const found = await model.similar(
    sample.map((id) => items.token(id)),
    { top, signal },
  );
  return sample.map((id, i) => ({
    title: titleOf(id),
    item: items.token(id),
    clicks: counts[id]!,
    similar: found[i]!.similar.map(({ item, similarity }) => ({ title: titleOf(items.idOf(item)), similarity })),
  }));
}

/** Ids of at most `ITEMS` items: those that divide all clicks, sorted by popularity, into equal parts. */
function sampleOf(counts: ArrayLike<number>): number[] {
  const ids = Array.from({ length: counts.length - 1 }, (_, i) => i + 1).sort(
    (a, b) => counts[b]! - counts[a]! || a - b,
  );
  const total = ids.reduce((sum, id) => sum + counts[id]!, 0);
  const sample: number[] = [];
  let clicks = 0;
  for (const id of ids) {
    clicks += counts[id]!;
    if (clicks > (sample.length / ITEMS) * total && sample.length < ITEMS) sample.push(id);
  }
  return sample;
}
