import type { Clicks, ItemValues } from "../data/clicks.js";
import type { Model } from "../model/model.js";

const USER_ID = "user_id";

/** Whether the network reads who a user is: it has the feature, and its vocabulary knows somebody. */
export function readsUserIds({ description }: Model): boolean {
  const { vocabularies, config } = description;
  return (vocabularies.get(USER_ID)?.size ?? 0) > 1 && !config.exclude.includes(USER_ID);
}

/**
 * [users] 1 where the model knows the user's id, or some value of the clicks; the shortlist of others is what everybody of the
 * same features gets.
 */
export function knownUsers(model: Model, { users, userFeatures, clickOffsets, itemFeatures }: Clicks): Uint8Array {
  const ids = readsUserIds(model) ? userFeatures.find(({ name }) => name === USER_ID)?.ids : undefined;
  const read = itemFeatures.filter(({ name }) => !model.description.config.exclude.includes(name));
  const known = new Uint8Array(users);
  for (let user = 0; user < users; user++) {
    const [start, end] = [clickOffsets[user]!, clickOffsets[user + 1]!];
    const isKnown = (ids && ids[user] !== 0) || read.some((feature) => hasKnownValue(feature, start, end));
    if (isKnown) known[user] = 1;
  }
  return known;
}

/** Whether some value of the clicks start … end − 1 is known. */
function hasKnownValue({ ids, offsets }: ItemValues, start: number, end: number): boolean {
  const last = offsets ? offsets[end]! : end;
  for (let i = offsets ? offsets[start]! : start; i < last; i++) if (ids[i] !== 0) return true;
  return false;
}
