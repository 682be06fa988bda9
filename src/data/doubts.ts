import { ShortlistError } from "../errors.js";
import { type Clicks, singleClickUsers } from "./clicks.js";
import type { FeatureCounts } from "./feature_counts.js";
import { separatorOfIds } from "./id_lists.js";
import { USER_ID } from "./schema.js";
import type { Vocabulary } from "./vocabulary.js";

/** Warnings about datasets that can be prepared but are probably not what was intended. Each says what to do. */
export function doubtsOf(clicks: Clicks, features: readonly FeatureCounts[]): string[] {
  const doubts: string[] = [];
  for (const { name, unit, appearLimit, values, valuesLeftOut, uses, usesLeftOut } of features) {
    const rareness = `at most ${appearLimit === 1 ? "once" : `${appearLimit} times`}`;
    const wayOut = `Lower --feature-appear-limit (now ${appearLimit}; 0 keeps every value)`;
    if (values > 0 && values === valuesLeftOut) {
      const lost =
        name === "user_id" ? "the model will know no user by id (mine users needs --log)" : "the feature has no effect";
      doubts.push(`every value of "${name}" is left out, as it appears ${rareness}: ${lost}. ${wayOut}`);
    } else if (unit === "clicks" && usesLeftOut > uses / 2) {
      doubts.push(`most clicks have a value of "${name}" that is left out, as it appears ${rareness}. ${wayOut}`);
    }
  }
  const farOff = clicks.times?.farOff ?? 0;
  if (farOff > 0) {
    doubts.push(
      `${farOff} of ${clicks.clicks} clicks have a time far from all others, such as 0 or −1: it counts as missing. Leave unknown times empty`,
    );
  }
  return [
    ...doubts,
    ...doubtsOfIdentities(clicks, features),
    ...doubtsOfTimes(clicks),
    ...doubtOfRepeatedClicks(clicks),
    ...doubtOfSingleClicks(clicks),
  ];
}

/** Fewest uses with which identities are looked for. With fewer, values may just not have repeated yet. */
const MIN_USES = 20;
/** Mean number of clicks on an item up to which items seem to be single events. */
const FEW_CLICKS = 1.5;

/**
 * Warns of features whose values hardly ever repeat: they identify a line or an event, and nothing can be learned of a
 * value for another line.
 */
function doubtsOfIdentities({ itemFeatures }: Clicks, features: readonly FeatureCounts[]): string[] {
  return features.flatMap(({ name, unit, values, valuesLeftOut, uses }) => {
    if (uses < MIN_USES || values === valuesLeftOut) return [];
    if (name === itemFeatures[0]!.name && values * FEW_CLICKS > uses) {
      return [
        `${values} items have ${uses} clicks: hardly any item has two, so that little can be learned of them. Is "${name}" what users click (--item for a table)?`,
      ];
    }
    if (unit !== "lines" || name === USER_ID || values < uses) return [];
    return [
      `each of ${values} values of "${name}" belongs to one user alone, so that it tells nothing about others: is it an id? Give the column the kind "ignore" in the schema, or leave it out of "features" in the source`,
    ];
  });
}

/**
 * Warns how many lines belong to users with an earlier line, and tells what was done with them. `users` is the number
 * of users.
 */
export function doubtOfRepeats(rows: Clicks, users: number, areJoined: boolean): string {
  const found = `${rows.users - users} of ${rows.users} lines are of users who have an earlier line`;
  const order = rows.times ? "in the order of their times" : "in the order of the lines";
  return areJoined
    ? `${found}: each user's lines were joined, their clicks ${order}. --repeat-users keep takes every line for a user`
    : `${found}: each is taken for a user of its own`;
}

/** Fraction of repeated clicks from which on there is a warning. */
const MANY_REPEATS = 0.01;

/** Number of clicks before a click that are compared with it. */
const MOST_COMPARED = 64;

/** Warns if many clicks repeat the item and the time of an earlier click: events that were probably logged twice. */
function doubtOfRepeatedClicks({ users, clicks, clickOffsets, itemFeatures, times }: Clicks): string[] {
  if (!times) return [];
  const { ids } = itemFeatures[0]!;
  const { values } = times;
  let repeats = 0;
  for (let user = 0; user < users; user++) {
    const start = clickOffsets[user]!;
    for (let click = start + 1; click < clickOffsets[user + 1]!; click++) {
      if (ids[click] === 0) continue;
      const first = Math.max(start, click - MOST_COMPARED);
      for (let other = click - 1; other >= first && values[other] === values[click]; other--) {
        if (ids[other] !== ids[click]) continue;
        repeats++;
        break;
      }
    }
  }
  if (repeats <= MANY_REPEATS * clicks) return [];
  return [
    `${repeats} of ${clicks} clicks repeat the item and the time of an earlier click: was each event logged twice? Leave the repeats out (of a table with "query": "SELECT DISTINCT …" in --source), or the model learns to predict them`,
  ];
}

/** Fraction of users with a single click from which on that click may hold a whole history. */
const NEARLY_ALL = 0.9;
/** Number of items that are looked at. */
const SAMPLE = 1000;

/**
 * Throws ERR_LOG if nearly every user has a single click whose item is a list of ids: a history that was not divided
 * into clicks, which nobody else has, would be one item. `name` is that of the log.
 */
export function checkNoSequences(clicks: Clicks, items: Vocabulary, name: string): void {
  if (clicks.users < 2 || singleClickUsers(clicks) < NEARLY_ALL * clicks.users) return;
  const tokens = Array.from({ length: Math.min(items.size, SAMPLE) - 1 }, (_, i) => items.token(i + 1));
  const separator = separatorOfIds(tokens);
  if (separator === undefined) return;
  throw new ShortlistError(
    "ERR_LOG",
    `${name}: Expected clicks separated by ";" but nearly every line has one click whose item is a list, such as ${JSON.stringify(tokens[0])}: put ";" in place of ${JSON.stringify(separator)}, or prepare the file as a table with a query that makes a row of each item (docs/data.md#sequences)`,
  );
}

/** Smallest time that is taken for Unix seconds: March 1973. */
const UNIX_SECONDS = 1e8;
/**
 * If the latest time is this many times the earliest, some times are probably in milliseconds and others in seconds.
 */
const UNITS_APART = 100;

function doubtsOfTimes({ times, clicks }: Clicks): string[] {
  if (!times || clicks < 2) return [];
  const { earliest, latest } = times;
  if (earliest === latest)
    return [`all clicks have the same time, ${earliest}, which tells nothing about their order or age`];
  if (earliest < UNIX_SECONDS || latest < UNITS_APART * earliest) return [];
  return [
    `times from ${earliest} to ${latest} seem to be of two units: are some in seconds and others in milliseconds?`,
  ];
}

/**
 * Warns if most users have a single click. Such users teach the network almost nothing about what follows a history.
 */
export function doubtOfSingleClicks(clicks: Clicks): string[] {
  const single = singleClickUsers(clicks);
  if (single <= clicks.users / 2) return [];
  return [
    `${single} of ${clicks.users} users have a single click, and no earlier one to predict it from: does each line of the log have all clicks of a user? In a table, is another column the user (--user)?`,
  ];
}
