import type { Clicks, NumberValues, Searches } from "../../data/clicks.js";
import { joinArrays, joinOffsets, joinValues, mapAll } from "../../data/join.js";
import type { ExcludedItems } from "../watched.js";
import type { Job } from "./gathered_runs.js";

/** Users to run, and what their run is given besides. */
export interface UserJob extends Job {
  readonly clicks: Clicks;
}

/** Joins the users of jobs, one job after the other. */
export function joinUsers(jobs: readonly [UserJob, ...UserJob[]]): Omit<UserJob, "signal"> {
  return {
    clicks: joinClicks(mapAll(jobs, ({ clicks }) => clicks)),
    excluded: joinExcluded(mapAll(jobs, ({ excluded }) => excluded)),
    top: jobs[0].top,
  };
}

/** The users of several logs of one schema, one log after the other. */
function joinClicks(logs: readonly [Clicks, ...Clicks[]]): Clicks {
  const [head] = logs;
  if (logs.length === 1) return head;
  return {
    users: logs.reduce((sum, { users }) => sum + users, 0),
    clicks: logs.reduce((sum, { clicks }) => sum + clicks, 0),
    clickOffsets: joinOffsets(logs.map(({ clickOffsets }) => clickOffsets)),
    userFeatures: head.userFeatures.map((_, f) => joinValues(mapAll(logs, ({ userFeatures }) => userFeatures[f]!))),
    ...(head.searches && {
      searches: head.searches.map((_, f) => joinSearches(mapAll(logs, ({ searches }) => searches![f]!))),
    }),
    numbers: head.numbers.map((_, f) => joinNumbers(mapAll(logs, ({ numbers }) => numbers[f]!))),
    itemFeatures: head.itemFeatures.map((_, f) => joinValues(mapAll(logs, ({ itemFeatures }) => itemFeatures[f]!))),
    ...(head.times && {
      times: { ...head.times, values: joinArrays(mapAll(logs, ({ times }) => times!.values)) },
    }),
    ...(head.clickNumbers && {
      clickNumbers: head.clickNumbers.map((_, f) => joinNumbers(mapAll(logs, (log) => log.clickNumbers![f]!))),
    }),
  };
}

function joinNumbers(parts: readonly [NumberValues, ...NumberValues[]]): NumberValues {
  return { ...parts[0], values: joinArrays(mapAll(parts, ({ values }) => values)) };
}

function joinSearches(parts: readonly [Searches, ...Searches[]]): Searches {
  return {
    name: parts[0].name,
    queryOffsets: joinOffsets(parts.map(({ queryOffsets }) => queryOffsets)),
    offsets: joinOffsets(parts.map(({ offsets }) => offsets)),
    ids: joinArrays(mapAll(parts, ({ ids }) => ids)),
  };
}

function joinExcluded(lists: readonly [ExcludedItems, ...ExcludedItems[]]): ExcludedItems {
  if (lists.length === 1) return lists[0];
  return {
    ids: joinArrays(mapAll(lists, ({ ids }) => ids)),
    offsets: joinOffsets(lists.map(({ offsets }) => offsets)),
  };
}
