import type { ItemValues, UserValues } from "./clicks.js";

/** The elements of arrays of one type, one array after the other. */
export function joinArrays<Elements extends Int32Array | Float32Array | Float64Array>(
  arrays: readonly [Elements, ...Elements[]],
): Elements {
  const make = arrays[0].constructor as new (length: number) => Elements;
  const joined = new make(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    joined.set(array, at);
    at += array.length;
  }
  return joined;
}

/** Joins arrays of offsets that each begin with 0. */
export function joinOffsets(arrays: readonly Int32Array[]): Int32Array {
  const joined = new Int32Array(arrays.reduce((sum, { length }) => sum + length - 1, 1));
  let at = 1;
  for (const array of arrays) {
    const base = joined[at - 1]!;
    for (let i = 1; i < array.length; i++) joined[at++] = base + array[i]!;
  }
  return joined;
}

/** The values of one feature for the users, clicks or items of several parts, one part after the other. */
export function joinValues(parts: readonly [UserValues, ...UserValues[]]): ItemValues {
  const [{ name, offsets }] = parts;
  return {
    name,
    ids: joinArrays(mapAll(parts, ({ ids }) => ids)),
    offsets: offsets && joinOffsets(parts.map((part) => part.offsets!)),
  };
}

/** `map` of a list that is not empty. */
export function mapAll<From, To>(list: readonly [From, ...From[]], to: (item: From) => To): [To, ...To[]] {
  return list.map(to) as [To, ...To[]];
}
