import { type Clicks, type Encoding, type ItemValues, itemVocabulary } from "./clicks.js";
import { gatherGroups } from "./groups.js";
import { joinValues } from "./join.js";
import type { SafetensorsTensor, TensorToWrite } from "./safetensors.js";
import { itemFeatures, type Schema } from "./schema.js";

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

/** The ids of an attribute's values of an item. */
export function valuesOf({ ids, offsets }: ItemValues, item: number): Int32Array {
  return offsets ? ids.subarray(offsets[item], offsets[item + 1]) : ids.subarray(item, item + 1);
}

/** The attributes of the items from `start` to before `end`. */
export function sliceItems(catalogue: readonly ItemValues[], start: number, end: number): ItemValues[] {
  return catalogue.map(({ name, ids, offsets }) => {
    if (!offsets) return { name, ids: ids.subarray(start, end), offsets };
    const first = offsets[start]!;
    const own = offsets.slice(start, end + 1).map((offset) => offset - first);
    return { name, ids: ids.subarray(first, offsets[end]), offsets: own };
  });
}

/** The attributes of some items, of which one may be given several times. */
export function gatherItems(catalogue: readonly ItemValues[], items: Int32Array): ItemValues[] {
  return catalogue.map(({ name, ids, offsets }) =>
    offsets
      ? { name, ...gatherGroups(ids, offsets, items) }
      : { name, ids: items.map((item) => ids[item]!), offsets: undefined },
  );
}

/** The attributes of the items of one catalogue, followed by those of another. */
export function joinItems(first: readonly ItemValues[], second: readonly ItemValues[]): ItemValues[] {
  return first.map((values, f) => joinValues([values, second[f]!]));
}

/** The attributes of items of which `values[f][i]` are the ids of the values of attribute f of item i. */
export function catalogueOfValues(schema: Schema, values: readonly (readonly ArrayLike<number>[])[]): ItemValues[] {
  return itemFeatures(schema)
    .slice(1)
    .map(({ name, multiple }, f) => {
      const own = values[f]!;
      if (!multiple) return { name, ids: Int32Array.from(own, (ids) => ids[0] ?? 0), offsets: undefined };
      const offsets = new Int32Array(own.length + 1);
      own.forEach((ids, i) => {
        offsets[i + 1] = offsets[i]! + ids.length;
      });
      const all = new Int32Array(offsets[own.length]!);
      own.forEach((ids, i) => {
        all.set(ids, offsets[i]);
      });
      return { name, ids: all, offsets };
    });
}

/** Names of the tensors with the attributes of the items in `model.safetensors`. */
const nameOf = (feature: string) => `catalogue.${feature}`;
const offsetsNameOf = (feature: string) => `catalogue.${feature}_offsets`;

/** Whether a tensor of `model.safetensors` belongs to the attributes of the items. */
export function isCatalogueTensor(name: string): boolean {
  return name.startsWith(nameOf(""));
}

/** The attributes of the items as tensors of a model folder. */
export function catalogueTensors(catalogue: readonly ItemValues[]): TensorToWrite[] {
  return catalogue.flatMap(({ name, ids, offsets }): TensorToWrite[] => [
    { name: nameOf(name), dtype: "int32", shape: [ids.length], data: ids },
    ...(offsets
      ? [{ name: offsetsNameOf(name), dtype: "int32" as const, shape: [offsets.length], data: offsets }]
      : []),
  ]);
}

/**
 * Returns the attributes of the items from the tensors of a model folder, or undefined if none is there. Calls `fail`
 * if one is missing, or does not fit the number of items or its vocabulary. native/serve/catalogue.cc has the same
 * checks.
 */
export function parseCatalogue(
  encoding: Encoding,
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  fail: (problem: string) => never,
): ItemValues[] | undefined {
  const attributes = itemFeatures(encoding.schema).slice(1);
  if (!attributes.some(({ name }) => tensors.has(nameOf(name)))) return undefined;
  const items = itemVocabulary(encoding).size;
  const read = (name: string) => {
    const { dtype, shape, data } = tensors.get(name) ?? fail(`There is no tensor "${name}"`);
    if (dtype !== "int32" || shape.length !== 1) fail(`Expected "${name}" to be a list of int32`);
    return data as Int32Array;
  };
  return attributes.map(({ name, multiple }) => {
    const ids = read(nameOf(name));
    const offsets = multiple ? read(offsetsNameOf(name)) : undefined;
    if (offsets && (offsets.length !== items + 1 || offsets[0] !== 0 || !isRising(offsets))) {
      fail(`Expected "${offsetsNameOf(name)}" to be ${items + 1} rising offsets from 0`);
    }
    const length = offsets ? offsets[items] : items;
    const { size } = encoding.vocabularies.get(name)!;
    if (ids.length !== length || ids.some((id) => id < 0 || id >= size)) {
      fail(`Expected "${nameOf(name)}" to be ${length} ids below ${size}`);
    }
    return { name, ids, offsets };
  });
}

function isRising(offsets: Int32Array): boolean {
  return offsets.every((offset, i) => i === 0 || offset >= offsets[i - 1]!);
}
