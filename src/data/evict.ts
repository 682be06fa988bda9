import { gatherItems } from "./catalogue.js";
import type { Clicks } from "./clicks.js";
import type { DatasetContents } from "./dataset.js";
import { joinRows } from "./join_users.js";
import { USER_ID } from "./schema.js";
import { Titles } from "./titles.js";
import { Vocabulary } from "./vocabulary.js";

/** In which growth items and users had their last click, counted from 1; 0 for a click of the first dataset. */
export interface LastGrowths {
  /** [items] */
  readonly items: Int32Array;
  /** [users] */
  readonly users: Int32Array;
}

/** A grown dataset without what was evicted, and how much that is. */
export interface Evicted<Contents> {
  readonly contents: Contents & { readonly lastGrowths: LastGrowths };
  readonly items: number;
  readonly users: number;
}

/**
 * Drops the items and users whose last click came in growth `last` or before, and the clicks of these users. Clicks of
 * others on dropped items become clicks on `<unk>`. The ids of the values that stay close the gaps, in their order, so
 * that a table has no rows for dropped ones. Items without any click stay; they are at the end.
 */
export function evict<Contents extends DatasetContents & { readonly lastGrowths: LastGrowths }>(
  contents: Contents,
  last: number,
): Evicted<Contents> {
  const { encoding, clicks, lastGrowths, newItems = 0, catalogue, titles, knownClicks } = contents;
  const item = encoding.schema.click[0]!.name;
  const [items, userIds] = [encoding.vocabularies.get(item)!, encoding.vocabularies.get(USER_ID)!];
  const clicked = items.size - newItems;
  const keptItems = indicesWhere(items.size, (id) => id === 0 || id >= clicked || lastGrowths.items[id]! > last);
  const keptUsers = indicesWhere(clicks.users, (user) => lastGrowths.users[user]! > last);
  const evicted = { items: items.size - keptItems.length, users: clicks.users - keptUsers.length };
  if (evicted.items === 0 && evicted.users === 0) return { contents, ...evicted };
  const { ids: identities } = clicks.userFeatures.find(({ name }) => name === USER_ID)!;
  const hasUser = new Uint8Array(userIds.size);
  for (const user of keptUsers) hasUser[identities[user]!] = 1;
  const keptIds = indicesWhere(userIds.size, (id) => id === 0 || hasUser[id] === 1);
  const kept = renumber(clicksOf(clicks, keptUsers), item, keptItems, items.size, keptIds, userIds.size);
  const vocabularies = new Map(encoding.vocabularies)
    .set(item, only(items, keptItems))
    .set(USER_ID, only(userIds, keptIds));
  return {
    contents: {
      ...contents,
      encoding: { ...encoding, vocabularies },
      clicks: kept,
      ...(catalogue && { catalogue: gatherItems(catalogue, keptItems) }),
      ...(titles && { titles: Titles.of(Array.from(keptItems, (id) => titles.titleOf(id))) }),
      knownClicks: keptUsers.map((user) => knownClicks![user]!),
      lastGrowths: {
        items: keptItems.map((id) => lastGrowths.items[id]!),
        users: keptUsers.map((user) => lastGrowths.users[user]!),
      },
    },
    ...evicted,
  };
}

function indicesWhere(size: number, isKept: (index: number) => boolean): Int32Array {
  const indices = new Int32Array(size);
  let kept = 0;
  for (let index = 0; index < size; index++) if (isKept(index)) indices[kept++] = index;
  return indices.slice(0, kept);
}

/** The vocabulary of these values. Those that are left out count for `<unk>`. */
function only(vocabulary: Vocabulary, kept: Int32Array): Vocabulary {
  const { counts } = vocabulary;
  const left = Float64Array.from(kept, (id) => counts[id]!);
  left[0]! += counts.reduce((sum, count) => sum + count, 0) - left.reduce((sum, count) => sum + count, 0);
  return new Vocabulary(
    Array.from(kept, (id) => vocabulary.token(id)),
    left,
  );
}

/** These users and their clicks. */
function clicksOf(clicks: Clicks, users: Int32Array): Clicks {
  const clickOffsets = new Int32Array(users.length + 1);
  const order = new Int32Array(clicks.clicks);
  let end = 0;
  for (let user = 0; user < users.length; user++) {
    const [start, stop] = [clicks.clickOffsets[users[user]!]!, clicks.clickOffsets[users[user]! + 1]!];
    for (let click = start; click < stop; click++) order[end++] = click;
    clickOffsets[user + 1] = end;
  }
  const kept = order.subarray(0, end);
  const offsets = Int32Array.from({ length: users.length + 1 }, (_, user) => user);
  const joined = joinRows(clicks, { users: users.length, offsets, rows: users }, kept, clickOffsets);
  const searches = joined.searches?.map((feature, f) => {
    const { before } = clicks.searches![f]!;
    return { ...feature, ...(before && { before: kept.map((click) => before[click]!) }) };
  });
  return { ...joined, ...(searches && { searches }) };
}

/** The clicks with the new ids of items and users: the places of the old ids among the kept ones. */
function renumber(
  clicks: Clicks,
  item: string,
  keptItems: Int32Array,
  items: number,
  keptUsers: Int32Array,
  users: number,
): Clicks {
  const places = (kept: Int32Array, size: number) => {
    const newIds = new Int32Array(size);
    kept.forEach((id, place) => {
      newIds[id] = place;
    });
    return newIds;
  };
  const renumbered = <Values extends { readonly name: string; readonly ids: Int32Array }>(
    name: string,
    ids: Int32Array,
  ) => {
    return (values: Values): Values =>
      values.name === name ? { ...values, ids: values.ids.map((id) => ids[id]!) } : values;
  };
  return {
    ...clicks,
    userFeatures: clicks.userFeatures.map(renumbered(USER_ID, places(keptUsers, users))),
    itemFeatures: clicks.itemFeatures.map(renumbered(item, places(keptItems, items))),
  };
}
