import type { Clicks } from "../data/clicks.js";

/** The excluded items of some samples: those of sample s are ids[offsets[s]] … ids[offsets[s + 1] − 1]. */
export interface ExcludedItems {
  readonly ids: Int32Array;
  readonly offsets: Int32Array;
}

export interface WatchedOptions {
  /** Leave the last click out: it is the target (default false). */
  readonly withoutLast?: boolean;
  /** Exclude nothing (default false). */
  readonly none?: boolean;
}

/** The distinct items that users `first` … `first + count − 1` have clicked, without `<unk>`. */
export function watchedItems(
  clicks: Clicks,
  first: number,
  count: number,
  options: WatchedOptions = {},
): ExcludedItems {
  const items = clicks.itemFeatures[0]!.ids;
  const offsets = new Int32Array(count + 1);
  const ids: number[] = [];
  for (let s = 0; s < count; s++) {
    const [start, end] = [clicks.clickOffsets[first + s]!, clicks.clickOffsets[first + s + 1]!];
    if (!options.none) {
      const watched = new Set(items.subarray(start, end - (options.withoutLast ? 1 : 0)));
      watched.delete(0);
      for (const id of watched) ids.push(id);
    }
    offsets[s + 1] = ids.length;
  }
  return { ids: Int32Array.from(ids), offsets };
}
