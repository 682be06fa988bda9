import type { NumberValues, Searches, UserValues } from "./clicks.js";

/**
 * Returns the ids of some groups, one group after the other. Group g has the ids offsets[g] … offsets[g + 1] − 1, and
 * group −1 only the id 0 (`<unk>`).
 */
export function gatherGroups(ids: Int32Array, offsets: Int32Array, groups: Int32Array) {
  const gatheredOffsets = new Int32Array(groups.length + 1);
  for (let i = 0; i < groups.length; i++) {
    const group = groups[i]!;
    gatheredOffsets[i + 1] = gatheredOffsets[i]! + (group < 0 ? 1 : offsets[group + 1]! - offsets[group]!);
  }
  const gathered = new Int32Array(gatheredOffsets[groups.length]!);
  for (let i = 0; i < groups.length; i++) {
    const group = groups[i]!;
    if (group < 0) continue;
    let to = gatheredOffsets[i]!;
    for (let from = offsets[group]!; from < offsets[group + 1]!; from++) gathered[to++] = ids[from]!;
  }
  return { ids: gathered, offsets: gatheredOffsets };
}

/** Returns a user feature of some users, of whom one may be given several times. */
export function valuesOfUsers({ name, ids, offsets }: UserValues, users: Int32Array): UserValues {
  return offsets
    ? { name, ...gatherGroups(ids, offsets, users) }
    : { name, ids: Int32Array.from(users, (user) => ids[user]!) };
}

/** Returns the searches of some users, as those that come before all clicks. */
export function searchesOfUsers({ name, queryOffsets, offsets, ids }: Searches, users: Int32Array): Searches {
  const everyQuery = Int32Array.from({ length: offsets.length - 1 }, (_, query) => query);
  const queries = gatherGroups(everyQuery, queryOffsets, users);
  return { name, queryOffsets: queries.offsets, ...gatherGroups(ids, offsets, queries.ids) };
}

/** Returns a number of some clicks. */
export function numbersOfClicks(number: NumberValues, clicks: Int32Array): NumberValues {
  return { ...number, values: Float32Array.from(clicks, (click) => number.values[click]!) };
}
