import type { Clicks } from "../data/clicks.js";

/**
 * The items that are excluded from the shortlists of some samples: those of sample s are ids[offsets[s]] …
 * ids[offsets[s + 1] − 1].
 */
export interface ExcludedItems {
  readonly ids: Int32Array;
  readonly offsets: Int32Array;
}

/** Options of `watchedItems`. */
export interface WatchedOptions {
  /** Ignores the last click of each user, which is the target (default false). */
  readonly withoutLast?: boolean;
  /** Excludes nothing (default false). */
  readonly none?: boolean;
}

/** The distinct items that each of the users `first` … `first + count − 1` has clicked, without `<unk>`. */
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
