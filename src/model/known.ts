import { type Clicks, type ItemValues, userIdsOf } from "../data/clicks.js";
import { USER_ID } from "../data/schema.js";
import { type Log, sourceOf } from "../data/sources/log.js";
import type { ReportedLogOptions } from "../data/sources/read_log.js";
import { Turns } from "../data/turns.js";
import type { Model } from "./model.js";

/** Number of users that are processed between two looks at the clock. */
const USERS_AT_ONCE = 1024;

/** Whether the network distinguishes users by id: it reads the feature, and its vocabulary has at least one id. */
export function readsUserIds({ description }: Model): boolean {
  const { vocabularies, config } = description;
  return (vocabularies.get(USER_ID)?.size ?? 0) > 1 && !config.exclude.includes(USER_ID);
}

/**
 * Returns a function that says whether the model knows user u of these clicks: the user's id, any value of the user's
 * clicks, or any token of the user's searches. Unknown users get the same shortlist as all unknown users with the same
 * features.
 */
export function isKnownUser(model: Model, clicks: Clicks): (user: number) => boolean {
  const { clickOffsets, itemFeatures, searches = [] } = clicks;
  const ids = readsUserIds(model) ? userIdsOf(clicks) : undefined;
  const isRead = ({ name }: { readonly name: string }) => !model.description.config.exclude.includes(name);
  const [read, searched] = [itemFeatures.filter(isRead), searches.filter(isRead)];
  return (user) => {
    if (ids && ids[user] !== 0) return true;
    if (searched.some(({ queryOffsets: q, offsets }) => offsets[q[user]!]! < offsets[q[user + 1]!]!)) return true;
    return read.some((feature) => hasKnownValue(feature, clickOffsets[user]!, clickOffsets[user + 1]!));
  };
}

/**
 * Warns with the number of users of a log that the model does not know, among those for whom `isAsked` holds (default:
 * all).
 */
export async function warnOfUnknown(
  log: Log,
  { users }: Clicks,
  isKnown: (user: number) => boolean,
  { onWarning, signal }: Pick<ReportedLogOptions, "onWarning" | "signal">,
  isAsked: (user: number) => boolean = () => true,
): Promise<void> {
  const turns = new Turns(signal);
  let [asked, unknown] = [0, 0];
  for (let user = 0; user < users; user++) {
    if (user % USERS_AT_ONCE === 0 && turns.isDue) await turns.take();
    if (!isAsked(user)) continue;
    asked++;
    if (!isKnown(user)) unknown++;
  }
  if (unknown === 0) return;
  onWarning?.(
    `${sourceOf(log).name}: The model knows neither the id nor any click of ${unknown} of ${asked} users: those with the same features get the same shortlist`,
  );
}

/** Whether any value of the clicks start … end − 1 is in the vocabulary. */
function hasKnownValue({ ids, offsets }: ItemValues, start: number, end: number): boolean {
  const last = offsets ? offsets[end]! : end;
  for (let i = offsets ? offsets[start]! : start; i < last; i++) if (ids[i] !== 0) return true;
  return false;
}
