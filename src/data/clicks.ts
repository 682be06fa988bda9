import { checkOptions, ShortlistError } from "../errors.js";
import { IntList } from "./int_list.js";
import { itemFeatures, type Schema, timeField, userFeatures } from "./schema.js";
import type { Log } from "./sources/log.js";
import {
  type LogReport,
  logOptionsOf,
  READ_LOG_OPTIONS,
  type ReadLogOptions,
  type ReportedLogOptions,
  readLog,
} from "./sources/read_log.js";
import type { Click } from "./sources/source.js";
import { type ClickTimes, clickTimes } from "./times.js";
import { Turns } from "./turns.js";
import type { Vocabulary } from "./vocabulary.js";

/** What a number of users looks like, over the users of the training log that have it. */
export interface NumberStatistics {
  /** The mean; 0 where no user has the number. */
  readonly mean: number;
  /** The standard deviation of the population; 0 where no user has the number. */
  readonly standardDeviation: number;
}

/** All that turns tokens into numbers: a dataset has it, and a model keeps it. */
export interface Encoding {
  /** The form of the logs. */
  readonly schema: Schema;
  /** The vocabulary of every categorical user feature and item feature, by name. */
  readonly vocabularies: ReadonlyMap<string, Vocabulary>;
  /** The statistics of every number feature, by name. */
  readonly numbers: ReadonlyMap<string, NumberStatistics>;
  /** The limit of a line's bytes that the dataset was made with: logs are read with it unless another one is given. */
  readonly maxLineBytes?: number | undefined;
}

/** The vocabulary of what is predicted: the first field of a click. */
export function itemVocabulary({ schema, vocabularies }: Encoding): Vocabulary {
  return vocabularies.get(schema.click[0]!.name)!;
}

/** Clicks as ids: user u has clicks click_offsets[u] … click_offsets[u + 1] − 1, oldest first. */
export interface Clicks {
  /** The number of users. */
  readonly users: number;
  /** The number of clicks of all users. */
  readonly clicks: number;
  /** Where the clicks of each user begin, [users + 1]. */
  readonly clickOffsets: Int32Array;
  /** The ids of the categorical user features, in schema order. */
  readonly userFeatures: readonly {
    readonly name: string;
    /** [users] */
    readonly ids: Int32Array;
  }[];
  /** Number features, in schema order, as in the log (NaN where missing), with the training log's statistics. */
  readonly numbers: readonly (NumberStatistics & {
    readonly name: string;
    /** [users] */
    readonly values: Float32Array;
  })[];
  /** The values of the item features, in schema order, the item first. */
  readonly itemFeatures: readonly ItemValues[];
  /** When the clicks happened, where the schema has a time. */
  readonly times?: ClickTimes | undefined;
}

/** The values of an item feature in clicks. */
export interface ItemValues {
  /** The feature's name. */
  readonly name: string;
  /** The ids of the values, [clicks], or [values] for a multi-valued feature. */
  readonly ids: Int32Array;
  /** Where the values of each click begin, [clicks + 1]; undefined for a feature with one value a click. */
  readonly offsets: Int32Array | undefined;
}

/**
 * The same clicks to train on without the last click of every user that has at least two. The last click of a user is
 * in no history, so nothing is left of it once its item is `<unk>`, which is never a target: only the items [clicks]
 * are copied.
 */
export function holdOutLastClicks(clicks: Clicks): Clicks {
  const [item, ...attributes] = clicks.itemFeatures as [ItemValues, ...ItemValues[]];
  const ids = item.ids.slice();
  for (let user = 0; user < clicks.users; user++) {
    const [start, end] = [clicks.clickOffsets[user]!, clicks.clickOffsets[user + 1]!];
    if (end - start >= 2) ids[end - 1] = 0;
  }
  return { ...clicks, itemFeatures: [{ ...item, ids }, ...attributes] };
}

/** The items' counts [items] without the clicks that `holdOutLastClicks` holds out of these. */
export function countsWithoutLastClicks(
  { itemFeatures, clickOffsets, users }: Clicks,
  counts: Float64Array,
): Float64Array {
  const left = counts.slice();
  for (let user = 0; user < users; user++) {
    const [start, end] = [clickOffsets[user]!, clickOffsets[user + 1]!];
    if (end - start >= 2) left[itemFeatures[0]!.ids[end - 1]!]!--;
  }
  return left;
}

/** The feature that says who a user is. */
export const USER_ID = "user_id";

/** [users] ids of who the users are, 0 where unknown; undefined where the schema has no such feature. */
export function userIdsOf({ userFeatures }: Clicks): Int32Array | undefined {
  return userFeatures.find(({ name }) => name === USER_ID)?.ids;
}

/** Users with one click. */
export function singleClickUsers({ clickOffsets, users }: Clicks): number {
  let single = 0;
  for (let user = 0; user < users; user++) if (clickOffsets[user + 1]! - clickOffsets[user]! === 1) single++;
  return single;
}

/** Whether some click of a known item follows another click of its user. */
export function hasFollowingClick({ clickOffsets, users, itemFeatures }: Clicks): boolean {
  const { ids } = itemFeatures[0]!;
  for (let user = 0; user < users; user++) {
    for (let click = clickOffsets[user]! + 1; click < clickOffsets[user + 1]!; click++)
      if (ids[click] !== 0) return true;
  }
  return false;
}

/**
 * Sizes that are known beforehand, so that nothing is copied: lines, clicks, and values of each multi-valued feature.
 */
export interface ExpectedSizes {
  readonly lines: number;
  readonly clicks: number;
  readonly values: ReadonlyMap<string, number>;
}

/** A log whose tokens were looked up. */
export interface EncodedLog {
  /** The users and clicks as ids. */
  readonly clicks: Clicks;
  /**
   * [users] the tokens of the column `user_id` ("NULL" where empty); line numbers from 1 where there is no such column.
   */
  readonly userIds: readonly string[];
  /** How much of the log could be read. */
  readonly report: LogReport;
}

const KEPT_CLICKS = 1 << 20;

/** How logs are read that an encoding, which has the schema, turns into numbers. */
export interface EncodeOptions extends Omit<ReadLogOptions, "schema"> {
  /** @internal */
  readonly expected?: ExpectedSizes | undefined;
}

const { schema: _, ...WITHOUT_SCHEMA } = READ_LOG_OPTIONS;
const ENCODE_OPTIONS: Readonly<Record<keyof EncodeOptions, true>> = { ...WITHOUT_SCHEMA, expected: true };

/**
 * Reads logs and looks their tokens up in the vocabularies of a dataset or model; what these do not hold is `<unk>`, 0.
 * Errors are those of `readLog`.
 */
export async function encodeLog(
  logs: readonly Log[],
  encoding: Encoding,
  options: EncodeOptions = {},
): Promise<EncodedLog> {
  checkOptions("encodeLog", options, ENCODE_OPTIONS);
  const { schema } = encoding;
  const { expected, maxLineBytes = encoding.maxLineBytes, ...logOptions } = options;
  const categorical = userFeatures(schema).filter(({ kind }) => kind === "categorical");
  const numeric = userFeatures(schema).filter(({ kind }) => kind === "number");
  const turns = new Turns(options.signal);
  for (const vocabulary of encoding.vocabularies.values()) await vocabulary.load(turns);
  const userIds: string[] = [];
  const clickOffsets = new IntList(expected && expected.lines + 1);
  clickOffsets.push(0);
  const users = categorical.map(({ name }) => ({
    name,
    vocabulary: vocabularyOf(encoding, name),
    ids: new IntList(expected?.lines),
  }));
  const numbers = numeric.map(({ name }) => ({ name, values: [] as number[] }));
  const items = itemFeatures(schema).map(({ name, multiple }) => {
    const offsets = multiple ? new IntList(expected && expected.clicks + 1) : undefined;
    offsets?.push(0);
    const capacity = multiple ? expected?.values.get(name) : expected?.clicks;
    return { name, vocabulary: vocabularyOf(encoding, name), ids: new IntList(capacity), offsets };
  });

  type ClickIds = readonly (number | readonly number[])[];
  const seen = new Map<Click, ClickIds>();
  const lookUp = (click: Click): ClickIds => {
    const ids = click.map((token, f) => {
      const { vocabulary } = items[f]!;
      return typeof token === "object" && token !== null
        ? token.map((member) => vocabulary.idOf(member))
        : vocabulary.idOf(token as string | null);
    });
    if (seen.size >= KEPT_CLICKS) seen.clear();
    seen.set(click, ids);
    return ids;
  };

  const hasTimes = timeField(schema) >= 0;
  let times = new Float64Array(hasTimes ? (expected?.clicks ?? 1024) : 0);
  let clickCount = 0;
  const report = await readLog(logs, { ...logOptions, schema, maxLineBytes }, (row) => {
    userIds.push(row.userId === undefined ? String(userIds.length + 1) : (row.userId ?? "NULL"));
    for (let f = 0; f < users.length; f++) users[f]!.ids.push(users[f]!.vocabulary.idOf(row.tokens[f]!));
    for (let f = 0; f < numbers.length; f++) numbers[f]!.values.push(row.numbers[f]!);
    for (const click of row.clicks) {
      const clickIds = seen.get(click) ?? lookUp(click);
      for (let f = 0; f < items.length; f++) {
        const { ids, offsets } = items[f]!;
        const value = clickIds[f]!;
        if (offsets === undefined) {
          ids.push(value as number);
        } else {
          for (const id of value as readonly number[]) ids.push(id);
          offsets.push(ids.length);
        }
      }
    }
    times = withRoom(times, clickCount + row.times.length);
    times.set(row.times, clickCount);
    clickCount += row.clicks.length;
    clickOffsets.push(clickCount);
  });

  const clicks: Clicks = {
    users: userIds.length,
    clicks: clickCount,
    clickOffsets: clickOffsets.take(),
    userFeatures: users.map(({ name, ids }) => ({ name, ids: ids.take() })),
    numbers: numbers.map(({ name, values }) => ({
      name,
      values: Float32Array.from(values),
      ...(encoding.numbers.get(name) ?? missing("statistics", name)),
    })),
    itemFeatures: items.map(({ name, ids, offsets }) => ({ name, ids: ids.take(), offsets: offsets?.take() })),
    ...(hasTimes && { times: clickTimes(times.length === clickCount ? times : times.slice(0, clickCount)) }),
  };
  return { clicks, userIds, report };
}

/** Reads a log of users to whom something is to be shown; they need not have clicked before. */
export function encodeUsers(log: Log, encoding: Encoding, options: ReportedLogOptions): Promise<EncodedLog> {
  return encodeLog([log], encoding, { ...logOptionsOf(options), withoutClicks: true });
}

/** The values in an array of at least `length` elements. */
function withRoom(values: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  if (length <= values.length) return values;
  const larger = new Float64Array(Math.max(length, 2 * values.length));
  larger.set(values);
  return larger;
}

function vocabularyOf(encoding: Encoding, name: string): Vocabulary {
  return encoding.vocabularies.get(name) ?? missing("a vocabulary", name);
}

function missing(what: string, name: string): never {
  throw new ShortlistError("ERR_VOCABULARY", `Expected ${what} for the feature "${name}" but received none`);
}
