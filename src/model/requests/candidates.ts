import type { Turns } from "../../data/turns.js";
import type { Vocabulary } from "../../data/vocabulary.js";
import { expectArray, expectText, type UnknownValue } from "./values.js";

/** Which items a call may return: all but `exclude`, or of these only `allow`. */
export interface CandidateOptions {
  /** Items that are not returned (default: none). Items that the model does not know are ignored. */
  readonly exclude?: readonly string[] | undefined;
  /** The only items that may be returned (default: all). Unknown ones are reported. */
  readonly allow?: readonly string[] | undefined;
}

/** The candidates of a call as ids. */
export interface Candidates {
  /** Ids in rising order, each once, without `<unk>`. */
  readonly exclude: Int32Array;
  /** The same, or undefined if all items are allowed. */
  readonly allow: Int32Array | undefined;
  /** Items of `allow` that the model does not know. */
  readonly unknown: readonly UnknownValue[];
}

/** Number of items that are looked up between two looks at the clock. */
const ITEMS_AT_ONCE = 256;

/** Looks up the items of `exclude` and `allow`. Throws ERR_REQUEST unless both are arrays of strings. */
export async function candidatesOf(
  items: Vocabulary,
  { exclude, allow }: CandidateOptions,
  turns: Turns,
): Promise<Candidates> {
  const unknown: UnknownValue[] = [];
  return {
    exclude: exclude === undefined ? NONE : (await lookUpItems(items, exclude, "exclude", turns)).distinct,
    allow: allow === undefined ? undefined : (await lookUpItems(items, allow, "allow", turns, unknown)).distinct,
    unknown,
  };
}

const NONE = new Int32Array(0);

/**
 * Looks up items: the id of each, 0 if unknown, and the distinct known ids in rising order. Unknown items are added to
 * `unknown`, if given. Throws ERR_REQUEST unless the value is an array of strings.
 */
export async function lookUpItems(
  items: Vocabulary,
  given: unknown,
  field: string,
  turns: Turns,
  unknown?: UnknownValue[],
): Promise<{ readonly ids: Int32Array; readonly distinct: Int32Array }> {
  const tokens = expectArray(given, field, "items");
  const ids = new Int32Array(tokens.length);
  for (let i = 0; i < ids.length; i++) {
    const item = expectText(tokens[i], () => `${field}[${i}]`, "the token of an item");
    ids[i] = items.idOf(item);
    if (ids[i] === 0) unknown?.push({ field: `${field}[${i}]`, value: item });
    if (i % ITEMS_AT_ONCE === 0 && turns.isDue) await turns.take();
  }
  return { ids, distinct: distinctIds(ids) };
}

/** The distinct ids in rising order, without `<unk>`. */
function distinctIds(ids: Int32Array): Int32Array {
  const sorted = ids.slice().sort();
  let count = 0;
  for (const id of sorted) if (id !== 0 && (count === 0 || sorted[count - 1] !== id)) sorted[count++] = id;
  return sorted.subarray(0, count);
}

/** Whether a list of rising ids has this one. */
export function hasId(ids: Int32Array, id: number): boolean {
  return indexOfId(ids, id) >= 0;
}

/** The index of an id in a list of rising ids; −1 if it is not there. */
export function indexOfId(ids: Int32Array, id: number): number {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ids[middle]! < id) low = middle + 1;
    else high = middle;
  }
  return ids[low] === id ? low : -1;
}
