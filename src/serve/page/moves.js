/**
 * @template {{ readonly item: string }} T
 * @typedef {{
 *   readonly from: Map<string, number>,
 *   readonly gone: readonly T[],
 *   readonly entered: number,
 *   readonly moved: number,
 * }} Moves How one list differs from another: the ranks (from 1) of items in the first list, the items of the first list
 *   that the second lacks, and how many items of the second list are new or have another rank.
 */

/**
 * Compares two lists.
 *
 * @template {{ readonly item: string }} T
 * @param {readonly T[]} before
 * @param {readonly T[]} after
 * @returns {Moves<T>}
 */
export function movesBetween(before, after) {
  const from = new Map(before.map(({ item }, i) => [item, i + 1]));
  const present = new Set(after.map(({ item }) => item));
  let [entered, moved] = [0, 0];
  for (const [i, { item }] of after.entries()) {
    const rank = from.get(item);
    if (rank === undefined) entered++;
    else if (rank !== i + 1) moved++;
  }
  return { from, gone: before.filter(({ item }) => !present.has(item)), entered, moved };
}
