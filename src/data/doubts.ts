import { type Clicks, singleClickUsers } from "./clicks.js";
import type { FeatureCounts } from "./dataset.js";

/** What can be prepared but is hardly meant: messages with the way out. */
export function doubtsOf(clicks: Clicks, features: readonly FeatureCounts[], featureAppearLimit: number): string[] {
  const rareness = `at most ${featureAppearLimit === 1 ? "once" : `${featureAppearLimit} times`}`;
  const wayOut = `Lower --feature-appear-limit (now ${featureAppearLimit}; 0 keeps every value)`;
  const doubts: string[] = [];
  for (const { name, unit, values, valuesLeftOut, uses, usesLeftOut } of features) {
    if (values > 0 && values === valuesLeftOut) {
      const lost =
        name === "user_id" ? "the model will know no user by id (mine users needs --log)" : "it teaches nothing";
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
  return [...doubts, ...doubtOfSingleClicks(clicks)];
}

/** A user with a single click tells next to nothing of what follows a history: a message where most are such. */
export function doubtOfSingleClicks(clicks: Clicks): string[] {
  const single = singleClickUsers(clicks);
  if (single <= clicks.users / 2) return [];
  return [
    `${single} of ${clicks.users} users have a single click, which follows no other: does the log hold all clicks of a user in one line?`,
  ];
}
