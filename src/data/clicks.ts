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
import type { Click, LogRow } from "./sources/source.js";
import { type ClickTimes, clickTimes } from "./times.js";
import { Turns } from "./turns.js";
import type { Vocabulary } from "./vocabulary.js";

/** Statistics of a number feature over the users of the training log that have a value. */
export interface NumberStatistics {
  /** Mean; 0 if no user has a value. */
  readonly mean: number;
  /** Population standard deviation; 0 if no user has a value. */
  readonly standardDeviation: number;
}

/** Statistics of numbers, NaN where missing. Welford 1962: avoids the cancellation of a sum of squares. */
export function statisticsOf(values: Float32Array): NumberStatistics {
  let [count, mean, squares] = [0, 0, 0];
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    const delta = value - mean;
    mean += delta / ++count;
    squares += delta * (value - mean);
  }
  return { mean, standardDeviation: count > 0 ? Math.sqrt(squares / count) : 0 };
}

/** Everything needed to turn the tokens of a log into numbers. Datasets and models have one. */
export interface Encoding {
  /** The schema of the logs. */
  readonly schema: Schema;
  /** The vocabulary of each categorical user feature and each item feature, by feature name. */
  readonly vocabularies: ReadonlyMap<string, Vocabulary>;
  /** The statistics of each number feature, by feature name. */
  readonly numbers: ReadonlyMap<string, NumberStatistics>;
  /** The longest line in bytes with which the dataset was prepared. It is the default for other logs read with it. */
  readonly maxLineBytes?: number | undefined;
}

/** The vocabulary of the items: the first field of a click. */
export function itemVocabulary({ schema, vocabularies }: Encoding): Vocabulary {
  return vocabularies.get(schema.click[0]!.name)!;
}

/** Users and their clicks as ids. The clicks of user u are clickOffsets[u] … clickOffsets[u + 1] − 1, oldest first. */
export interface Clicks {
  /** Number of users. */
  readonly users: number;
  /** Number of clicks of all users. */
  readonly clicks: number;
  /** [users + 1] Index of the first click of each user. */
  readonly clickOffsets: Int32Array;
  /** The categorical user features, in schema order. */
  readonly userFeatures: readonly {
    readonly name: string;
    /** [users] Id of each user's value. */
    readonly ids: Int32Array;
  }[];
  /** The number features, in schema order, with the statistics of the training log. */
  readonly numbers: readonly (NumberStatistics & {
    readonly name: string;
    /** [users] Each user's value as in the log; NaN if missing. */
    readonly values: Float32Array;
  })[];
  /** The item features, in schema order. The first one is the item itself. */
  readonly itemFeatures: readonly ItemValues[];
  /** The times of the clicks. Undefined if the schema has no time. */
  readonly times?: ClickTimes | undefined;
}

/** Values of an item feature for all clicks. */
export interface ItemValues {
  /** Name of the feature. */
  readonly name: string;
  /** Ids of the values: [clicks], or [values] for a multi-valued feature. */
  readonly ids: Int32Array;
  /** [clicks + 1] Index of the first value of each click. Undefined unless the feature is multi-valued. */
  readonly offsets: Int32Array | undefined;
}

/**
 * Returns the clicks without the last click of each user that has at least two, for training. The held-out click stays
 * but its item becomes `<unk>`: then it is no target, and as the last click it is in no history. So only the array of
 * items is copied.
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

/** Returns the item counts [items] without the clicks that `holdOutLastClicks` would hold out. */
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

/** Name of the feature that identifies users. */
export const USER_ID = "user_id";

/** [users] Ids of the users' identities, 0 if unknown. Undefined if the schema has no such feature. */
export function userIdsOf({ userFeatures }: Clicks): Int32Array | undefined {
  return userFeatures.find(({ name }) => name === USER_ID)?.ids;
}

/** Number of users with exactly one click. */
export function singleClickUsers({ clickOffsets, users }: Clicks): number {
  let single = 0;
  for (let user = 0; user < users; user++) if (clickOffsets[user + 1]! - clickOffsets[user]! === 1) single++;
  return single;
}

/** Whether any click on a known item follows another click of the same user. */
export function hasFollowingClick({ clickOffsets, users, itemFeatures }: Clicks): boolean {
  const { ids } = itemFeatures[0]!;
  for (let user = 0; user < users; user++) {
    for (let click = clickOffsets[user]! + 1; click < clickOffsets[user + 1]!; click++)
      if (ids[click] !== 0) return true;
  }
  return false;
}

/**
 * Sizes that are already known, so that arrays need not grow: numbers of lines, of clicks, and of values of each
 * multi-valued feature.
 */
export interface ExpectedSizes {
  readonly lines: number;
  readonly clicks: number;
  readonly values: ReadonlyMap<string, number>;
}

/** A log whose tokens were replaced by ids. */
export interface EncodedLog {
  /** The users and clicks as ids. */
  readonly clicks: Clicks;
  /**
   * [users] The tokens of the column `user_id` ("NULL" if missing), or line numbers from 1 if there is no such column.
   */
  readonly userIds: readonly string[];
  /** How much of the log could be read. */
  readonly report: LogReport;
}

const MAX_CACHED_CLICKS = 1 << 20;

/** Options of `encodeLog`: those of `readLog` but the schema, which the encoding has. */
export interface EncodeOptions extends Omit<ReadLogOptions, "schema"> {
  /** @internal */
  readonly expected?: ExpectedSizes | undefined;
  /**
   * Called with each row.
   *
   * @internal
   */
  readonly onRow?: ((row: LogRow) => void) | undefined;
}

const { schema: _, ...WITHOUT_SCHEMA } = READ_LOG_OPTIONS;
const ENCODE_OPTIONS: Readonly<Record<keyof EncodeOptions, true>> = { ...WITHOUT_SCHEMA, expected: true, onRow: true };

/**
 * Reads logs and looks up their tokens in the vocabularies of a dataset or model. Tokens that are not in the vocabulary
 * become `<unk>`, id 0. Throws the errors of `readLog`.
 */
export async function encodeLog(
  logs: readonly Log[],
  encoding: Encoding,
  options: EncodeOptions = {},
): Promise<EncodedLog> {
  checkOptions("encodeLog", options, ENCODE_OPTIONS);
  const { schema } = encoding;
  const { expected, onRow, maxLineBytes = encoding.maxLineBytes, ...logOptions } = options;
  const turns = new Turns(options.signal);
  for (const vocabulary of encoding.vocabularies.values()) await vocabulary.load(turns);
  const encoder = new RowEncoder(encoding, expected);
  const report = await readLog(logs, { ...logOptions, schema, maxLineBytes }, (row) => {
    onRow?.(row);
    encoder.add(row);
  });
  return { clicks: encoder.take(), userIds: encoder.userIds, report };
}

type ClickIds = readonly (number | readonly number[])[];

/** Collects rows as ids. */
class RowEncoder {
  readonly userIds: string[] = [];
  readonly #encoding: Encoding;
  readonly #clickOffsets: IntList;
  readonly #users: readonly { readonly name: string; readonly vocabulary: Vocabulary; readonly ids: IntList }[];
  readonly #numbers: readonly { readonly name: string; readonly values: number[] }[];
  readonly #items: readonly {
    readonly name: string;
    readonly vocabulary: Vocabulary;
    readonly ids: IntList;
    readonly offsets: IntList | undefined;
  }[];
  /** The ids of clicks that were looked up before: most clicks of a log are repeats. */
  readonly #seen = new Map<Click, ClickIds>();
  readonly #hasTimes: boolean;
  #times: Float64Array<ArrayBuffer>;
  #clickCount = 0;

  constructor(encoding: Encoding, expected: ExpectedSizes | undefined) {
    const { schema } = encoding;
    const named = (kind: string) => userFeatures(schema).flatMap((f) => (f.kind === kind ? [f.name] : []));
    this.#encoding = encoding;
    this.#clickOffsets = new IntList(expected && expected.lines + 1);
    this.#clickOffsets.push(0);
    this.#users = named("categorical").map((name) => ({
      name,
      vocabulary: vocabularyOf(encoding, name),
      ids: new IntList(expected?.lines),
    }));
    this.#numbers = named("number").map((name) => ({ name, values: [] }));
    this.#items = itemFeatures(schema).map(({ name, multiple }) => {
      const offsets = multiple ? new IntList(expected && expected.clicks + 1) : undefined;
      offsets?.push(0);
      const capacity = multiple ? expected?.values.get(name) : expected?.clicks;
      return { name, vocabulary: vocabularyOf(encoding, name), ids: new IntList(capacity), offsets };
    });
    this.#hasTimes = timeField(schema) >= 0;
    this.#times = new Float64Array(this.#hasTimes ? (expected?.clicks ?? 1024) : 0);
  }

  add(row: LogRow): void {
    const users = this.#users;
    const numbers = this.#numbers;
    this.userIds.push(row.userId === undefined ? String(this.userIds.length + 1) : (row.userId ?? "NULL"));
    for (let f = 0; f < users.length; f++) users[f]!.ids.push(users[f]!.vocabulary.idOf(row.tokens[f]!));
    for (let f = 0; f < numbers.length; f++) numbers[f]!.values.push(row.numbers[f]!);
    for (const click of row.clicks) this.#addClick(this.#seen.get(click) ?? this.#lookUp(click));
    this.#times = withRoom(this.#times, this.#clickCount + row.times.length);
    this.#times.set(row.times, this.#clickCount);
    this.#clickCount += row.clicks.length;
    this.#clickOffsets.push(this.#clickCount);
  }

  #addClick(clickIds: ClickIds): void {
    const items = this.#items;
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

  #lookUp(click: Click): ClickIds {
    const ids = click.map((token, f) => {
      const { vocabulary } = this.#items[f]!;
      return typeof token === "object" && token !== null
        ? token.map((member) => vocabulary.idOf(member))
        : vocabulary.idOf(token as string | null);
    });
    if (this.#seen.size >= MAX_CACHED_CLICKS) this.#seen.clear();
    this.#seen.set(click, ids);
    return ids;
  }

  /** Returns what was added. The encoder cannot be used again. */
  take(): Clicks {
    const [times, clickCount] = [this.#times, this.#clickCount];
    return {
      users: this.userIds.length,
      clicks: clickCount,
      clickOffsets: this.#clickOffsets.take(),
      userFeatures: this.#users.map(({ name, ids }) => ({ name, ids: ids.take() })),
      numbers: this.#numbers.map(({ name, values }) => ({
        name,
        values: Float32Array.from(values),
        ...(this.#encoding.numbers.get(name) ?? missing("statistics", name)),
      })),
      itemFeatures: this.#items.map(({ name, ids, offsets }) => ({ name, ids: ids.take(), offsets: offsets?.take() })),
      ...(this.#hasTimes && { times: clickTimes(times.length === clickCount ? times : times.slice(0, clickCount)) }),
    };
  }
}

/** Reads a log of users to recommend to. Unlike in training, users may have no clicks. */
export function encodeUsers(log: Log, encoding: Encoding, options: ReportedLogOptions): Promise<EncodedLog> {
  return encodeLog([log], encoding, { ...logOptionsOf(options), withoutClicks: true });
}

/** Returns the values in an array of at least `length` elements. */
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
