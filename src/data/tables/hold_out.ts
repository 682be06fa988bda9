import { join } from "node:path";
import { ShortlistError } from "../../errors.js";
import { TEST_LOG } from "../dataset.js";
import { replaceFile } from "../files.js";
import type { SortedEvents } from "./read_events.js";

/**
 * Which events a dataset leaves out, to evaluate on them: the last one of every user who has at least two, or all events
 * from a time on (in the unit of the dataset, which is seconds since 1970 where times are clocks').
 */
export type HoldOut = "last" | { readonly splitTime: number };

/** Clicks of a line of the log, the latest ones: longer histories would exceed what a line may have. */
const LONGEST_HISTORY = 100_000;
const LINES_AT_ONCE = 1024;

/** [users] index of the first event of each user that is held out; the end of the user's events if there is none. */
export function cutsOf({ offsets, times }: SortedEvents, holdOut: HoldOut): Int32Array {
  return Int32Array.from({ length: offsets.length - 1 }, (_, user) => {
    const [start, end] = [offsets[user]!, offsets[user + 1]!];
    if (holdOut === "last") return end - start >= 2 ? end - 1 : end;
    let cut = end;
    // Events are sorted, and those without a time come first: they are kept.
    while (cut > start && times![cut - 1]! >= holdOut.splitTime) cut--;
    return cut;
  });
}

/** How a log writes the columns and clicks of events. */
export interface EventTexts {
  /** The columns of a user before the clicks. */
  readonly user: (number: number) => string;
  /** A click without its time. */
  readonly item: (number: number) => string;
}

/**
 * Writes a click log with a line for each user with events on both sides of the cut: the kept events and the first one
 * that is held out, which is the target. Returns the number of lines; ERR_TABLE if there would be none.
 */
export async function writeTestLog(
  folder: string,
  { offsets, itemNumbers, times }: SortedEvents,
  cuts: Int32Array,
  texts: EventTexts,
): Promise<number> {
  const clickOf = (event: number) => {
    const item = texts.item(itemNumbers[event]!);
    if (!times) return item;
    return `${item}:${Number.isNaN(times[event]!) ? "" : times[event]}`;
  };
  let lines = 0;
  await replaceFile(join(folder, TEST_LOG), async (file) => {
    let pending: string[] = [];
    for (let user = 0; user < cuts.length; user++) {
      const [start, cut, end] = [offsets[user]!, cuts[user]!, offsets[user + 1]!];
      if (cut === start || cut === end) continue;
      const clicks: string[] = [];
      for (let event = Math.max(start, cut - LONGEST_HISTORY); event <= cut; event++) clicks.push(clickOf(event));
      pending.push(`${texts.user(user)}\t${clicks.join(";")}\n`);
      lines++;
      if (pending.length < LINES_AT_ONCE) continue;
      await file.writeFile(pending.join(""));
      pending = [];
    }
    await file.writeFile(pending.join(""));
  });
  if (lines > 0) return lines;
  throw new ShortlistError(
    "ERR_TABLE",
    "Expected a user with events to keep and an event to hold out, but there is none: choose another --split-time, or hold nothing out",
  );
}

/** Throws ERR_TABLE if a value cannot be written to a click log, which has no escapes. */
export function checkWritable(value: string, separators: RegExp): string {
  if (!separators.test(value)) return value;
  throw new ShortlistError(
    "ERR_TABLE",
    `Cannot write ${JSON.stringify(value)} to ${TEST_LOG}, since a click log has no escapes for its separators (tab : ; and _ in lists). Prepare without holding out, and train with --validation last`,
  );
}

/** The events before the cuts, in the same arrays, and the numbers of the users that have some. */
export function keepBefore(
  events: SortedEvents,
  cuts: Int32Array,
): { readonly kept: SortedEvents; readonly userNumbers: Int32Array } {
  const { offsets, itemNumbers, times } = events;
  const userNumbers = new Int32Array(cuts.length);
  const starts = new Int32Array(offsets.length);
  let [users, at] = [0, 0];
  for (let user = 0; user < cuts.length; user++) {
    const [start, cut] = [offsets[user]!, cuts[user]!];
    if (cut === start) continue;
    itemNumbers.copyWithin(at, start, cut);
    times?.copyWithin(at, start, cut);
    at += cut - start;
    userNumbers[users++] = user;
    starts[users] = at;
  }
  return {
    kept: {
      ...events,
      offsets: starts.subarray(0, users + 1),
      itemNumbers: itemNumbers.subarray(0, at),
      times: times?.subarray(0, at),
    },
    userNumbers: userNumbers.subarray(0, users),
  };
}
