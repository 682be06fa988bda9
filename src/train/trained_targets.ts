import { type Clicks, userIdsOf } from "../data/clicks.js";
import { USER_ID } from "../data/schema.js";
import { Turns } from "../data/turns.js";

/**
 * Number of last clicks that are compared, the target included. A user with fewer clicks is compared by all of them.
 */
const MAX_COMPARED_CLICKS = 8;
/**
 * Fewest clicks with which users of unknown id are compared. Such users are told apart by their features and clicks
 * alone.
 */
const MIN_CLICKS_OF_UNKNOWN_USER = 3;
const FILTER_BITS = 20;

/**
 * Counts the users of `test` whose target, their last click, also occurs in the training clicks as a click of the same
 * user after the same clicks. The model has been trained on such a target, so it does not test the model. Two users are
 * the same if their known ids are equal or, for unknown ids, if all their features are equal.
 */
export async function countTrainedTargets(test: Clicks, training: Clicks, signal?: AbortSignal): Promise<number> {
  const turns = new Turns(signal);
  const [testUsers, trainingUsers] = [userKeys(test), userKeys(training)];
  const [testIds, trainingIds] = [test.itemFeatures[0]!.ids, training.itemFeatures[0]!.ids];
  const ids = userIdsOf(test);
  const usersOf = new Map<number, number[]>();
  const filter = new Uint8Array(1 << FILTER_BITS);
  for (let user = 0; user < test.users; user++) {
    if (turns.isDue) await turns.take();
    const [start, end] = [test.clickOffsets[user]!, test.clickOffsets[user + 1]!];
    if (end === start || testIds[end - 1] === 0) continue;
    if (!ids?.[user] && end - start < MIN_CLICKS_OF_UNKNOWN_USER) continue;
    const hash = hashOf(testUsers[user]!, testIds, start, end);
    const alike = usersOf.get(hash);
    if (alike) alike.push(user);
    else usersOf.set(hash, [user]);
    filter[hash >>> (32 - FILTER_BITS)] = 1;
  }
  const trained = new Uint8Array(test.users);
  for (let user = 0; user < training.users; user++) {
    if (turns.isDue) await turns.take();
    const [start, last] = [training.clickOffsets[user]!, training.clickOffsets[user + 1]!];
    for (let end = start + 1; end <= last; end++) {
      if (trainingIds[end - 1] === 0) continue;
      const hash = hashOf(trainingUsers[user]!, trainingIds, start, end);
      if (filter[hash >>> (32 - FILTER_BITS)] === 0) continue;
      for (const found of usersOf.get(hash) ?? []) {
        if (sameUser(test, found, training, user) && sameClicks(test, found, trainingIds, start, end)) {
          trained[found] = 1;
        }
      }
    }
  }
  return trained.reduce((sum, flag) => sum + flag, 0);
}

/** Whether the clicks start … end − 1 of a training user end with the same clicks as all clicks of test user `user`. */
function sameClicks(test: Clicks, user: number, trainingIds: Int32Array, start: number, end: number): boolean {
  const [testStart, testEnd] = [test.clickOffsets[user]!, test.clickOffsets[user + 1]!];
  const length = Math.min(MAX_COMPARED_CLICKS, testEnd - testStart);
  if (length !== Math.min(MAX_COMPARED_CLICKS, end - start)) return false;
  const ids = test.itemFeatures[0]!.ids;
  for (let back = 1; back <= length; back++) if (ids[testEnd - back] !== trainingIds[end - back]) return false;
  return true;
}

function sameUser(a: Clicks, userOfA: number, b: Clicks, userOfB: number): boolean {
  const known = userIdsOf(a)?.[userOfA];
  return a.userFeatures.every(({ name, ids, offsets }, f) => {
    return offsets || (known && name !== USER_ID) || ids[userOfA] === b.userFeatures[f]?.ids[userOfB];
  });
}

/** [users] A hash of each user's identity: equal for users that are the same. */
function userKeys(clicks: Clicks): Int32Array {
  const { users, userFeatures } = clicks;
  const ids = userIdsOf(clicks);
  return Int32Array.from({ length: users }, (_, user) => {
    if (ids?.[user]) return mix(1, ids[user]);
    const single = userFeatures.filter(({ offsets }) => offsets === undefined);
    return single.reduce((hash, feature) => mix(hash, feature.ids[user]!), single.length);
  });
}

/** Returns a hash of a user and of the clicks before `end` that are compared. */
function hashOf(user: number, ids: Int32Array, start: number, end: number): number {
  const from = Math.max(start, end - MAX_COMPARED_CLICKS);
  let hash = mix(user, end - from);
  for (let click = from; click < end; click++) hash = mix(hash, ids[click]!);
  return hash >>> 0;
}

/** One step of the FNV-1a hash on a whole number, with the high bits mixed into the low ones. */
function mix(hash: number, value: number): number {
  const product = Math.imul(hash ^ value, 0x01000193);
  return product ^ (product >>> 15);
}
