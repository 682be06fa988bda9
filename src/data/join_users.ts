import type { Clicks, ItemValues, Searches, UserValues } from "./clicks.js";
import { gatherGroups, numbersOfClicks, searchesOfUsers, valuesOfUsers } from "./groups.js";
import { clickTimes } from "./times.js";
import { TokenTable } from "./token_table.js";
import { clickWeights } from "./weights.js";

/** Groups rows by the identity of their user. Each row without an identity is a separate user. */
export class RowOwners {
  readonly #users = new TokenTable();
  /** [rows] Index of the user in `#users`; −1 without an identity. */
  readonly #owners: number[] = [];

  /** Adds the next row; null if its user's identity is missing. */
  add(userId: string | null): void {
    this.#owners.push(userId === null ? -1 : this.#users.add(userId));
  }

  /** Returns the rows of each user. */
  rows(): RowsOfUsers {
    return rowsOfUsers(this.#owners, this.#users.size);
  }
}

/**
 * Returns the rows of each user, oldest first. `owners` has a number below `numbers` for the identity of each row's user,
 * −1 without an identity. Users are in the order of their first row.
 */
export function rowsOfUsers(owners: ArrayLike<number>, numbers: number): RowsOfUsers {
  const places = new Int32Array(numbers).fill(-1);
  const userOf = new Int32Array(owners.length);
  let users = 0;
  for (let row = 0; row < owners.length; row++) {
    const owner = owners[row]!;
    const place = owner < 0 ? -1 : places[owner]!;
    userOf[row] = place < 0 ? users++ : place;
    if (owner >= 0) places[owner] = userOf[row]!;
  }
  const offsets = new Int32Array(users + 1);
  for (const user of userOf) offsets[user + 1]!++;
  for (let user = 0; user < users; user++) offsets[user + 1]! += offsets[user]!;
  const next = offsets.slice(0, users);
  const rows = new Int32Array(userOf.length);
  for (let row = 0; row < userOf.length; row++) rows[next[userOf[row]!]!++] = row;
  return { users, offsets, rows };
}

/** The rows of each user: those of user u are rows[offsets[u]] … rows[offsets[u + 1] − 1], in the order of the log. */
export interface RowsOfUsers {
  readonly users: number;
  /** [users + 1] */
  readonly offsets: Int32Array;
  /** [rows of the log] */
  readonly rows: Int32Array;
}

/** [users] The identity of each user, of those of the rows. */
export function identitiesOf(userIds: readonly string[], { users, offsets, rows }: RowsOfUsers): string[] {
  return Array.from({ length: users }, (_, user) => userIds[rows[offsets[user]!]!]!);
}

/**
 * Joins the rows of each user. If clicks have times, the rows of a user are merged by time: the order within a row does
 * not change, and a click without a time stays after the one before it. Without times, the rows are concatenated in the
 * order of the log. The value of a user feature is that of the user's last row in which it is known. Searches are
 * concatenated.
 */
export function joinUsers(clicks: Clicks, owned: RowsOfUsers): Clicks {
  const { users, offsets, rows } = owned;
  const clickOffsets = new Int32Array(users + 1);
  for (let user = 0; user < users; user++) {
    let size = clickOffsets[user]!;
    for (let i = offsets[user]!; i < offsets[user + 1]!; i++) {
      size += clicks.clickOffsets[rows[i]! + 1]! - clicks.clickOffsets[rows[i]!]!;
    }
    clickOffsets[user + 1] = size;
  }
  return joinRows(clicks, owned, mergedOrder(clicks, owned), clickOffsets);
}

/**
 * `joinUsers` with given clicks of each user: those of user u are order[clickOffsets[u]] …
 * order[clickOffsets[u + 1] − 1].
 */
export function joinRows(clicks: Clicks, owned: RowsOfUsers, order: Int32Array, clickOffsets: Int32Array): Clicks {
  const { users, offsets, rows } = owned;
  const lastKnown = <T extends Int32Array | Float32Array>(
    values: T,
    joined: T,
    isKnown: (value: number) => boolean,
  ) => {
    for (let user = 0; user < users; user++) {
      let i = offsets[user + 1]! - 1;
      while (i > offsets[user]! && !isKnown(values[rows[i]!]!)) i--;
      joined[user] = values[rows[i]!]!;
    }
    return joined;
  };
  return {
    users,
    clicks: order.length,
    clickOffsets,
    userFeatures: clicks.userFeatures.map((feature) =>
      feature.offsets
        ? joinedValues(feature, owned)
        : { name: feature.name, ids: lastKnown(feature.ids, new Int32Array(users), (id) => id !== 0) },
    ),
    numbers: clicks.numbers.map((feature) => ({
      ...feature,
      values: lastKnown(feature.values, new Float32Array(users), (value) => !Number.isNaN(value)),
    })),
    itemFeatures: clicks.itemFeatures.map((feature) => reordered(feature, order)),
    ...(clicks.searches && { searches: clicks.searches.map((searches) => joinedSearches(searches, owned)) }),
    ...(clicks.times && { times: clickTimes(Float64Array.from(order, (click) => clicks.times!.values[click]!)) }),
    ...(clicks.weights && {
      weights: clickWeights(
        clicks.weights.name,
        Float32Array.from(order, (click) => clicks.weights!.values[click]!),
      ),
    }),
    ...(clicks.clickNumbers && { clickNumbers: clicks.clickNumbers.map((number) => numbersOfClicks(number, order)) }),
  };
}

/** The values of each user's last row in which one of them is known. */
function joinedValues(feature: UserValues, { users, offsets: ofUsers, rows }: RowsOfUsers): UserValues {
  const { ids, offsets } = feature;
  const lastRows = Int32Array.from({ length: users }, (_, user) => {
    const isKnown = (row: number) => ids.subarray(offsets![row], offsets![row + 1]).some((id) => id !== 0);
    let i = ofUsers[user + 1]! - 1;
    while (i > ofUsers[user]! && !isKnown(rows[i]!)) i--;
    return rows[i]!;
  });
  return valuesOfUsers(feature, lastRows);
}

/** The queries of all rows of each user, which all come before the clicks. */
function joinedSearches(searches: Searches, { offsets, rows }: RowsOfUsers): Searches {
  const ofRows = searchesOfUsers(searches, rows);
  return { ...ofRows, queryOffsets: offsets.map((row) => ofRows.queryOffsets[row]!) };
}

/** [clicks] The clicks in the order of their times. */
function mergedOrder({ clicks, clickOffsets, times }: Clicks, { users, offsets, rows }: RowsOfUsers): Int32Array {
  const order = new Int32Array(clicks);
  let end = 0;
  for (let user = 0; user < users; user++) {
    const start = end;
    /** The latest time so far in the row of each click, so that merging by it keeps the order within rows. */
    const latest: number[] = [];
    for (let i = offsets[user]!; i < offsets[user + 1]!; i++) {
      let time = Number.NEGATIVE_INFINITY;
      for (let click = clickOffsets[rows[i]!]!; click < clickOffsets[rows[i]! + 1]!; click++) {
        order[end++] = click;
        if (times && times.values[click]! > time) time = times.values[click]!;
        latest.push(time);
      }
    }
    const isOrdered = latest.every((time, k) => k === 0 || latest[k - 1]! <= time);
    if (isOrdered) continue;
    const unsorted = order.slice(start, end);
    const places = Array.from(latest, (_, k) => k).sort((a, b) => latest[a]! - latest[b]! || a - b);
    for (const [k, place] of places.entries()) order[start + k] = unsorted[place]!;
  }
  return order;
}

function reordered({ name, ids, offsets }: ItemValues, order: Int32Array): ItemValues {
  if (!offsets) return { name, ids: Int32Array.from(order, (click) => ids[click]!), offsets };
  return { name, ...gatherGroups(ids, offsets, order) };
}
