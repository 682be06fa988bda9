import type { Searches, UserValues } from "./clicks.js";

/** Returns the ids of some groups, one group after the other. Group g has the ids offsets[g] … offsets[g + 1] − 1. */
export function gatherGroups(ids: Int32Array, offsets: Int32Array, groups: Int32Array) {
  const gatheredOffsets = new Int32Array(groups.length + 1);
  for (let i = 0; i < groups.length; i++) {
    gatheredOffsets[i + 1] = gatheredOffsets[i]! + offsets[groups[i]! + 1]! - offsets[groups[i]!]!;
  }
  const gathered = new Int32Array(gatheredOffsets[groups.length]!);
  for (let i = 0; i < groups.length; i++) {
    gathered.set(ids.subarray(offsets[groups[i]!], offsets[groups[i]! + 1]), gatheredOffsets[i]);
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
