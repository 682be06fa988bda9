/** How the places of shortlists are distributed over the items. */
export interface Exposure {
  /** The length K of the shortlists. */
  readonly top: number;
  /**
   * The items in groups of about a tenth of all training clicks each, the most popular items first. A group has whole
   * items, so that there are fewer groups if a few items have most of the clicks.
   */
  readonly groups: readonly ExposureGroup[];
  /**
   * Gini coefficient of the places of all items: 0 if all items have equally many places, close to 1 if few items have
   * all of them.
   */
  readonly gini: number;
}

/** Items of similar popularity. */
export interface ExposureGroup {
  /** Number of items. */
  readonly items: number;
  /** The share of all training clicks that are on these items. */
  readonly clicks: number;
  /** The share of all places of the shortlists that these items have. */
  readonly places: number;
}

const GROUPS = 10;

/** Counts how often each item is on the shortlists of several lengths. */
export class ExposureTally {
  readonly #tops: readonly number[];
  /** For each length, [items] the number of shortlists with the item. */
  readonly #places: readonly Int32Array[];

  /** `items` is the size of the item vocabulary, including `<unk>`. */
  constructor(tops: readonly number[], items: number) {
    this.#tops = tops;
    this.#places = tops.map(() => new Int32Array(items));
  }

  /** Adds a user's shortlist: `items[start]` … , at most `length` of them, ended by −1 if there are fewer. */
  add(items: ArrayLike<number>, start: number, length: number): void {
    this.#tops.forEach((top, i) => {
      const places = this.#places[i]!;
      const end = start + Math.min(top, length);
      for (let j = start; j < end && items[j]! >= 0; j++) places[items[j]!]!++;
    });
  }

  /** For each K, the fraction of all items that are on at least one shortlist. */
  get coverage(): Record<string, number> {
    const share = (places: Int32Array) => places.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
    return Object.fromEntries(
      this.#tops.map((top, i) => [top, share(this.#places[i]!) / (this.#places[i]!.length - 1)]),
    );
  }

  /** Returns the exposure of the items on the shortest shortlists. `counts` [items] are their training clicks. */
  exposure(counts: ArrayLike<number>): Exposure {
    const places = this.#places[0]!;
    return { top: this.#tops[0]!, groups: groupsOf(counts, places), gini: giniOf(places.subarray(1)) };
  }
}

function groupsOf(counts: ArrayLike<number>, places: Int32Array): ExposureGroup[] {
  const ids = Int32Array.from({ length: counts.length - 1 }, (_, i) => i + 1).sort(
    (a, b) => counts[b]! - counts[a]! || a - b,
  );
  let [allClicks, allPlaces] = [0, 0];
  for (const id of ids) {
    allClicks += counts[id]!;
    allPlaces += places[id]!;
  }
  const groups: ExposureGroup[] = [];
  let [items, clicks, shown, before] = [0, 0, 0, 0];
  ids.forEach((id, i) => {
    items++;
    clicks += counts[id]!;
    shown += places[id]!;
    // The next tenth of the clicks that the groups before have not reached.
    const tenth = Math.floor((GROUPS * before) / allClicks) + 1;
    const isFull = GROUPS * (before + clicks) >= tenth * allClicks && clicks > 0;
    if (!isFull && i < ids.length - 1) return;
    groups.push({ items, clicks: clicks / Math.max(1, allClicks), places: shown / Math.max(1, allPlaces) });
    before += clicks;
    [items, clicks, shown] = [0, 0, 0];
  });
  return groups;
}

/** The Gini coefficient Σ (2i − n − 1) xᵢ / (n Σ xᵢ) of values xᵢ in rising order, i from 1. */
function giniOf(values: Int32Array): number {
  const sorted = values.slice().sort();
  let [weighted, sum] = [0, 0];
  sorted.forEach((value, i) => {
    weighted += (2 * (i + 1) - sorted.length - 1) * value;
    sum += value;
  });
  return sum === 0 ? 0 : weighted / (sorted.length * sum);
}
