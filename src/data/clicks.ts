import { ShortlistError } from "../errors.js";
import { IntList } from "./int_list.js";
import { clickNumbers, itemFeatures, type Schema, timeField, USER_ID, userFeaturesOf, weightField } from "./schema.js";
import { SearchLookup } from "./searches.js";
import type { Log } from "./sources/log.js";
import { type LogReport, READ_LOG_OPTIONS, type ReadLogOptions, readLog } from "./sources/read_log.js";
import type { Click, LogRow, Token } from "./sources/source.js";
import { type ClickTimes, clickTimes } from "./times.js";
import { Turns } from "./turns.js";
import type { Vocabulary } from "./vocabulary.js";
import { type ClickWeights, clickWeights } from "./weights.js";

/** Statistics of a number feature over the users, or the clicks, of the training log that have a value. */
export interface NumberStatistics {
  /** Mean; 0 if none has a value. */
  readonly mean: number;
  /** Population standard deviation; 0 if none has a value. */
  readonly standardDeviation: number;
}

/** A number of all users or of all clicks, with the statistics of the training log. */
export interface NumberValues extends NumberStatistics {
  /** Name of the feature. */
  readonly name: string;
  /** [users] or [clicks] Each value as in the log; NaN if missing. */
  readonly values: Float32Array;
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
  /** The statistics of each number feature of users and clicks, by feature name. */
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
  readonly userFeatures: readonly UserValues[];
  /** The number features of users, in schema order. */
  readonly numbers: readonly NumberValues[];
  /** The item features, in schema order. The first one is the item itself. */
  readonly itemFeatures: readonly ItemValues[];
  /** The times of the clicks. Undefined if the schema has no time. */
  readonly times?: ClickTimes | undefined;
  /** The weights of the clicks. Undefined if the schema has no weight. */
  readonly weights?: ClickWeights | undefined;
  /** The numbers of the clicks, in schema order. Undefined if the schema has none. */
  readonly clickNumbers?: readonly NumberValues[] | undefined;
  /** The searches of each column of kind "tokens", in schema order. Undefined if the schema has none. */
  readonly searches?: readonly Searches[] | undefined;
  /**
   * [clicks] The item of each click that may be a training target, and 0 for the others, which are in histories only.
   * Undefined if every click may be a target.
   */
  readonly targets?: Int32Array | undefined;
}

/** Values of a categorical user feature for all users. */
export interface UserValues {
  /** Name of the feature. */
  readonly name: string;
  /** Ids of the values: [users], or [values] for a multi-valued feature. */
  readonly ids: Int32Array;
  /** [users + 1] Index of the first value of each user. Undefined unless the feature is multi-valued. */
  readonly offsets?: Int32Array | undefined;
}

/**
 * The past searches of all users, divided into tokens. The queries of user u are queryOffsets[u] …
 * queryOffsets[u + 1] − 1, oldest first.
 */
export interface Searches {
  /** Name of the feature. */
  readonly name: string;
  /** [users + 1] Index of the first query of each user. */
  readonly queryOffsets: Int32Array;
  /** [queries + 1] Index of the first token of each query. A query may have none that the vocabulary holds. */
  readonly offsets: Int32Array;
  /** [tokens] Ids of the tokens that the vocabulary holds. */
  readonly ids: Int32Array;
  /** [clicks] How many of its user's queries came before each click. Undefined if all came before all clicks. */
  readonly before?: Int32Array | undefined;
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

/**
 * Returns the item counts [items] without the clicks that `holdOutLastClicks` would hold out. Counts that are not the
 * numbers of clicks, because they decayed or a dataset does not have all clicks, fall by the same fraction.
 */
export function countsWithoutLastClicks(
  { itemFeatures, clickOffsets, users }: Clicks,
  counts: Float64Array,
): Float64Array {
  const { ids } = itemFeatures[0]!;
  const clicks = new Float64Array(counts.length);
  for (const id of ids) clicks[id]!++;
  const left = clicks.slice();
  for (let user = 0; user < users; user++) {
    const [start, end] = [clickOffsets[user]!, clickOffsets[user + 1]!];
    if (end - start >= 2) left[ids[end - 1]!]!--;
  }
  return counts.map((count, id) => (clicks[id] === 0 ? count : Math.ceil((count * left[id]!) / clicks[id]!)));
}

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

/** Whether any target, a click on a known item, follows another click of the same user. */
export function hasFollowingClick({ clickOffsets, users, itemFeatures, targets }: Clicks): boolean {
  const ids = targets ?? itemFeatures[0]!.ids;
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
/** Names of the options of `encodeLog`. */
export const ENCODE_OPTIONS: Readonly<Record<keyof EncodeOptions, true>> = {
  ...WITHOUT_SCHEMA,
  expected: true,
  onRow: true,
};

/** `encodeLog` for logs of any kind, row by row. */
export async function encodeRows(
  logs: readonly Log[],
  encoding: Encoding,
  options: EncodeOptions = {},
): Promise<EncodedLog> {
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

/** The ids of a feature, and where those of each user or click begin if it is multi-valued. */
interface FeatureLists {
  readonly name: string;
  readonly vocabulary: Vocabulary;
  readonly ids: IntList;
  readonly offsets: IntList | undefined;
}

/** The queries of a column of searches; see `Searches`. */
interface SearchLists {
  readonly name: string;
  readonly lookup: SearchLookup;
  readonly queryOffsets: IntList;
  readonly offsets: IntList;
  readonly ids: IntList;
}

/** A list of offsets that begins with 0. */
function offsetList(capacity?: number): IntList {
  const offsets = new IntList(capacity);
  offsets.push(0);
  return offsets;
}

/** Collects rows as ids. */
class RowEncoder {
  readonly userIds: string[] = [];
  readonly #encoding: Encoding;
  readonly #clickOffsets: IntList;
  readonly #users: readonly FeatureLists[];
  readonly #searches: readonly SearchLists[];
  readonly #numbers: readonly { readonly name: string; readonly values: number[] }[];
  readonly #items: readonly FeatureLists[];
  /** The ids of clicks that were looked up before: most clicks of a log are repeats. */
  readonly #seen = new Map<Click, ClickIds>();
  readonly #hasTimes: boolean;
  #times: Float64Array<ArrayBuffer>;
  /** Name of the field with weights. Undefined without weights. */
  readonly #weight: string | undefined;
  #weights: Float32Array<ArrayBuffer>;
  readonly #clickNumbers: readonly { readonly name: string; values: Float32Array<ArrayBuffer> }[];
  #clickCount = 0;

  constructor(encoding: Encoding, expected: ExpectedSizes | undefined) {
    const { schema } = encoding;
    this.#encoding = encoding;
    this.#clickOffsets = offsetList(expected && expected.lines + 1);
    this.#users = userFeaturesOf(schema, "categorical").map(({ name, multiple }) => ({
      name,
      vocabulary: vocabularyOf(encoding, name),
      ids: new IntList(expected?.lines),
      offsets: multiple ? offsetList(expected && expected.lines + 1) : undefined,
    }));
    this.#searches = userFeaturesOf(schema, "tokens").map(({ name }) => ({
      name,
      lookup: new SearchLookup(vocabularyOf(encoding, name)),
      queryOffsets: offsetList(expected && expected.lines + 1),
      offsets: offsetList(),
      ids: new IntList(),
    }));
    this.#numbers = userFeaturesOf(schema, "number").map(({ name }) => ({ name, values: [] }));
    this.#items = itemFeatures(schema).map(({ name, multiple }) => {
      const offsets = multiple ? offsetList(expected && expected.clicks + 1) : undefined;
      const capacity = multiple ? expected?.values.get(name) : expected?.clicks;
      return { name, vocabulary: vocabularyOf(encoding, name), ids: new IntList(capacity), offsets };
    });
    this.#hasTimes = timeField(schema) >= 0;
    this.#times = new Float64Array(this.#hasTimes ? (expected?.clicks ?? 1024) : 0);
    this.#weight = schema.click[weightField(schema)]?.name;
    this.#weights = new Float32Array(this.#weight === undefined ? 0 : (expected?.clicks ?? 1024));
    this.#clickNumbers = clickNumbers(schema).map((name) => {
      return { name, values: new Float32Array(expected?.clicks ?? 1024) };
    });
  }

  add(row: LogRow): void {
    const users = this.#users;
    const numbers = this.#numbers;
    this.userIds.push(row.userId === undefined ? String(this.userIds.length + 1) : (row.userId ?? "NULL"));
    for (let f = 0; f < users.length; f++) pushValue(users[f]!, idsOf(users[f]!.vocabulary, row.tokens[f]!));
    this.#addSearches(row);
    for (let f = 0; f < numbers.length; f++) numbers[f]!.values.push(row.numbers[f]!);
    for (const click of row.clicks) this.#addClick(this.#seen.get(click) ?? this.#lookUp(click));
    this.#times = withRoom(this.#times, this.#clickCount + row.times.length);
    this.#times.set(row.times, this.#clickCount);
    if (this.#weight !== undefined) this.#addWeights(row);
    if (this.#clickNumbers.length > 0) this.#addClickNumbers(row);
    this.#clickCount += row.clicks.length;
    this.#clickOffsets.push(this.#clickCount);
  }

  #addSearches({ searches }: LogRow): void {
    this.#searches.forEach(({ lookup, queryOffsets, offsets, ids }, f) => {
      for (const query of searches?.[f] ?? []) {
        for (const id of lookup.idsOf(query)) ids.push(id);
        offsets.push(ids.length);
      }
      queryOffsets.push(offsets.length - 1);
    });
  }

  #addWeights({ clicks, weights }: LogRow): void {
    this.#weights = withRoom(this.#weights, this.#clickCount + clicks.length);
    for (let i = 0; i < clicks.length; i++) {
      const weight = weights?.[i] ?? Number.NaN;
      this.#weights[this.#clickCount + i] = Number.isNaN(weight) ? 1 : weight;
    }
  }

  #addClickNumbers({ clicks, clickNumbers }: LogRow): void {
    const end = this.#clickCount + clicks.length;
    this.#clickNumbers.forEach((feature, f) => {
      feature.values = withRoom(feature.values, end);
      const given = clickNumbers?.[f];
      if (given) feature.values.set(given, this.#clickCount);
      else feature.values.fill(Number.NaN, this.#clickCount, end);
    });
  }

  #addClick(clickIds: ClickIds): void {
    const items = this.#items;
    for (let f = 0; f < items.length; f++) pushValue(items[f]!, clickIds[f]!);
  }

  #lookUp(click: Click): ClickIds {
    const ids = click.map((value, f) => idsOf(this.#items[f]!.vocabulary, value));
    if (this.#seen.size >= MAX_CACHED_CLICKS) this.#seen.clear();
    this.#seen.set(click, ids);
    return ids;
  }

  /** Returns what was added. The encoder cannot be used again. */
  take(): Clicks {
    const clickCount = this.#clickCount;
    const fitted = <T extends Float64Array | Float32Array>(values: T) =>
      (values.length === clickCount ? values : values.slice(0, clickCount)) as T;
    return {
      users: this.userIds.length,
      clicks: clickCount,
      clickOffsets: this.#clickOffsets.take(),
      userFeatures: this.#users.map(({ name, ids, offsets }) => ({
        name,
        ids: ids.take(),
        ...(offsets && { offsets: offsets.take() }),
      })),
      numbers: this.#numbers.map(({ name, values }) => numbersOf(this.#encoding, name, Float32Array.from(values))),
      itemFeatures: this.#items.map(({ name, ids, offsets }) => ({ name, ids: ids.take(), offsets: offsets?.take() })),
      ...(this.#searches.length > 0 && {
        searches: this.#searches.map(({ name, queryOffsets, offsets, ids }) => ({
          ...{ name, queryOffsets: queryOffsets.take(), offsets: offsets.take(), ids: ids.take() },
        })),
      }),
      ...(this.#hasTimes && { times: clickTimes(fitted(this.#times)) }),
      ...(this.#weight !== undefined && { weights: clickWeights(this.#weight, fitted(this.#weights)) }),
      ...(this.#clickNumbers.length > 0 && {
        clickNumbers: this.#clickNumbers.map(({ name, values }) => numbersOf(this.#encoding, name, fitted(values))),
      }),
    };
  }
}

/** The features of users of whom nothing is known, except their numbers. */
export function unknownUsers(schema: Schema, users: number): Pick<Clicks, "userFeatures" | "searches"> {
  const searches = userFeaturesOf(schema, "tokens").map(({ name }) => ({
    ...{ name, queryOffsets: new Int32Array(users + 1), offsets: new Int32Array(1), ids: new Int32Array(0) },
  }));
  return {
    userFeatures: userFeaturesOf(schema, "categorical").map(({ name, multiple }) => ({
      name,
      ids: new Int32Array(users),
      ...(multiple && { offsets: Int32Array.from({ length: users + 1 }, (_, user) => user) }),
    })),
    ...(searches.length > 0 && { searches }),
  };
}

/** The id of a token, or the ids of several. */
function idsOf(vocabulary: Vocabulary, value: Token | readonly Token[]): number | readonly number[] {
  return typeof value === "object" && value !== null
    ? value.map((member) => vocabulary.idOf(member))
    : vocabulary.idOf(value as Token);
}

/** Adds the value of a user or click, or its values if the feature is multi-valued. */
function pushValue({ ids, offsets }: FeatureLists, value: number | readonly number[]): void {
  if (offsets === undefined) {
    ids.push(value as number);
    return;
  }
  for (const id of value as readonly number[]) ids.push(id);
  offsets.push(ids.length);
}

/** Returns the values in an array of at least `length` elements. */
function withRoom<T extends Float64Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(values: T, length: number): T {
  if (length <= values.length) return values;
  const larger = new (values.constructor as new (length: number) => T)(Math.max(length, 2 * values.length));
  larger.set(values);
  return larger;
}

/** The values of a number feature, with the statistics of the encoding. Throws ERR_VOCABULARY if it has none. */
export function numbersOf({ numbers }: Encoding, name: string, values: Float32Array): NumberValues {
  return { name, values, ...(numbers.get(name) ?? missing("statistics", name)) };
}

/** The vocabulary of a feature. Throws ERR_VOCABULARY if the encoding has none. */
export function vocabularyOf(encoding: Encoding, name: string): Vocabulary {
  return encoding.vocabularies.get(name) ?? missing("a vocabulary", name);
}

function missing(what: string, name: string): never {
  throw new ShortlistError("ERR_VOCABULARY", `Expected ${what} for the feature "${name}" but received none`);
}
