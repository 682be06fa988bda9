import type { Clicks, ItemValues } from "./clicks.js";

/**
 * The attributes of every item, as of the last click on it. Each item feature except the item itself has `ids` [items],
 * or `ids` [values] with `offsets` [items + 1] if it is multi-valued. An item without a click has `<unk>` or no value.
 */
export function itemAttributes({ clicks, itemFeatures }: Clicks, items: number): ItemValues[] {
  const [item, ...attributes] = itemFeatures;
  const lastClick = new Int32Array(items).fill(-1);
  for (let click = 0; click < clicks; click++) lastClick[item!.ids[click]!] = click;
  lastClick[0] = -1; // `<unk>` stands for many items
  return attributes.map(({ name, ids, offsets }) => {
    if (!offsets) {
      return { name, ids: lastClick.map((click) => (click < 0 ? 0 : ids[click]!)), offsets: undefined };
    }
    const itemOffsets = new Int32Array(items + 1);
    lastClick.forEach((click, i) => {
      itemOffsets[i + 1] = itemOffsets[i]! + (click < 0 ? 0 : offsets[click + 1]! - offsets[click]!);
    });
    const values = new Int32Array(itemOffsets[items]!);
    lastClick.forEach((click, i) => {
      if (click >= 0) values.set(ids.subarray(offsets[click], offsets[click + 1]), itemOffsets[i]);
    });
    return { name, ids: values, offsets: itemOffsets };
  });
}
