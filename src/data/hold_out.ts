import { join } from "node:path";
import { ShortlistError } from "../errors.js";
import { type AppearLimit, appearLimitOf } from "./appear_limits.js";
import { type Clicks, type NumberValues, type Searches, statisticsOf, type UserValues } from "./clicks.js";
import type { DatasetContents } from "./dataset.js";
import { escapeValue } from "./escapes.js";
import { checkItems, type FeatureCounts, featureCountsOf } from "./feature_counts.js";
import { replaceFile } from "./files.js";
import { type Column, kindOf, USER_ID, vocabularyNames } from "./schema.js";
import { SEARCH_WINDOW, wordsOfTokens } from "./searches.js";
import { clickTimes } from "./times.js";
import { ValueCounts } from "./token_table.js";
import type { Vocabulary } from "./vocabulary.js";
import { clickWeights } from "./weights.js";

/**
 * Which clicks a dataset leaves out, to evaluate on them: the last one of every user who has at least two, or all
 * clicks from a time on (in the unit of the dataset, which is seconds since 1970 for the dates of a table).
 */
export type HoldOut = "last" | { readonly splitTime: number };

/** Log of the clicks that were held out when a dataset was prepared, a member of the dataset folder. */
export const TEST_LOG = "test.tsv";

/** Clicks of a line of the log, the latest ones: longer histories would exceed what a line may have. */
const LONGEST_HISTORY = 100_000;
const LINES_AT_ONCE = 1024;

/** Throws ERR_OPTION unless `holdOut` is a `HoldOut` or undefined. */
export function checkHoldOut(holdOut: unknown): void {
  if (holdOut === undefined || holdOut === "last") return;
  const { splitTime, ...others } = (typeof holdOut === "object" && holdOut !== null ? holdOut : {}) as Partial<
    Record<string, unknown>
  >;
  if (Number.isFinite(splitTime) && Object.keys(others).length === 0) return;
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected holdOut to be "last" or { splitTime: a number } but received ${JSON.stringify(holdOut)}`,
  );
}

/** Throws ERR_DATASET if clicks are to be split by time but have none. `name` is that of the log or table. */
export function checkTimesToSplit(holdOut: HoldOut | undefined, hasTimes: boolean, name: string): void {
  if (holdOut === undefined || holdOut === "last" || hasTimes) return;
  throw new ShortlistError(
    "ERR_DATASET",
    `${name}: Expected times to split by, but the clicks have none. Give the column of the times, or hold the last clicks out`,
  );
}

/** Options of `holdClicksOut`. */
export interface HoldOutOptions {
  readonly holdOut: HoldOut;
  /** The limit by which values of the kept clicks get ids. */
  readonly limit: AppearLimit;
  /** [users] Identities of the users, for a schema in which they are no feature. */
  readonly userIds?: readonly string[] | undefined;
  /** Name of the log or table in messages. */
  readonly name: string;
}

/**
 * Holds clicks out: writes the test log to `folder`, and returns the other clicks as a dataset that never had those. In
 * `whole`, every value must have an id, so that nothing is lost; its arrays are changed. A user of the kept clicks
 * counts once. Throws ERR_DATASET if there is no user with clicks on both sides.
 */
export async function holdClicksOut(
  folder: string,
  whole: DatasetContents,
  { holdOut, limit, userIds, name }: HoldOutOptions,
): Promise<DatasetContents> {
  const cuts = cutsOf(whole.clicks, holdOut);
  const testUsers = await writeTestLog(folder, whole, cuts, userIds);
  if (testUsers === 0) throw nothingToHoldOut(whole.clicks, holdOut, name);
  return { ...recount({ ...whole, clicks: keepBefore(whole.clicks, cuts) }, limit), testUsers };
}

function nothingToHoldOut({ times }: Clicks, holdOut: HoldOut, name: string): ShortlistError {
  const problem = `${name}: Expected a user with clicks to keep and a click to hold out, but there is none`;
  const range = times && `the times are from ${times.earliest} to ${times.latest}`;
  const wayOut =
    holdOut === "last"
      ? "no user has two clicks"
      : `choose another --split-time (now ${holdOut.splitTime}; ${range}), or hold the last clicks out`;
  return new ShortlistError("ERR_DATASET", `${problem}: ${wayOut}`);
}

/** The clicks of users with their times. */
interface TimedClicks extends Pick<Clicks, "users" | "clickOffsets"> {
  readonly times?: { readonly values: Float64Array } | undefined;
}

/** [users] Index of the first click of each user that is held out; the end of the user's clicks if there is none. */
export function cutsOf({ users, clickOffsets, times }: TimedClicks, holdOut: HoldOut): Int32Array {
  return Int32Array.from({ length: users }, (_, user) => {
    const [start, end] = [clickOffsets[user]!, clickOffsets[user + 1]!];
    if (holdOut === "last") return end - start >= 2 ? end - 1 : end;
    // A click without a time is kept unless it follows one that is held out.
    let cut = start;
    while (cut < end && !(times!.values[cut]! >= holdOut.splitTime)) cut++;
    return cut;
  });
}

/**
 * Writes a click log with a line for each user with clicks on both sides of the cut: the kept clicks and the first one
 * that is held out, which is the target. Returns the number of lines.
 */
async function writeTestLog(
  folder: string,
  given: DatasetContents,
  cuts: Int32Array,
  userIds: readonly string[] | undefined,
): Promise<number> {
  const lineOf = lineWriter(given, userIds);
  let lines = 0;
  await replaceFile(join(folder, TEST_LOG), async (file) => {
    let pending: string[] = [];
    for (let user = 0; user < cuts.length; user++) {
      const [start, cut, end] = [given.clicks.clickOffsets[user]!, cuts[user]!, given.clicks.clickOffsets[user + 1]!];
      if (cut === start || cut === end) continue;
      pending.push(lineOf(user, Math.max(start, cut - LONGEST_HISTORY), cut + 1));
      lines++;
      if (pending.length < LINES_AT_ONCE) continue;
      await file.writeFile(pending.join(""));
      pending = [];
    }
    await file.writeFile(pending.join(""));
  });
  return lines;
}

/** Returns a function that writes a user, with the clicks from `start` to before `end`, as a line of a click log. */
function lineWriter(
  { encoding: { schema, vocabularies }, clicks }: DatasetContents,
  userIds: readonly string[] | undefined,
): (user: number, start: number, end: number) => string {
  const tokenOf = (name: string, id: number) => (id === 0 ? "" : vocabularies.get(name)!.token(id));
  const write = schema.escapes ? escapeValue : withoutEscapes;
  const listOf = (name: string, ids: Int32Array, separators: string) =>
    Array.from(ids, (id) => write(tokenOf(name, id), separators)).join("_");
  const named = <T extends { readonly name: string }>(features: readonly T[], name: string) =>
    features.find((feature) => feature.name === name)!;
  const writerOf = ({ name, kind }: Column): ((user: number, target: number) => string) => {
    if (name === USER_ID && kind !== "categorical") return (user) => write(userIds?.[user] ?? "", "\t");
    switch (kind) {
      case "categorical": {
        const { ids, offsets } = named(clicks.userFeatures, name);
        if (offsets) return (user) => listOf(name, ids.subarray(offsets[user], offsets[user + 1]), "\t_");
        return (user) => write(tokenOf(name, ids[user]!), "\t");
      }
      case "number": {
        const { values } = named(clicks.numbers, name);
        return (user) => formatFloat32(values[user]!);
      }
      case "tokens":
        return queryWriter(named(clicks.searches!, name), vocabularies.get(name)!);
      case "ignore":
      case "clicks":
        return () => "";
    }
  };
  const columns = schema.columns.map(writerOf);
  const fields = clicks.itemFeatures.map(({ name, ids, offsets }, f) => {
    if (!offsets) {
      // An item must not be empty.
      return (click: number) => write(tokenOf(name, ids[click]!) || (f === 0 ? "<unk>" : ""), "\t:;");
    }
    return (click: number) => listOf(name, ids.subarray(offsets[click], offsets[click + 1]), "\t:;_");
  });
  const timeOf = (click: number) => {
    const time = clicks.times!.values[click]!;
    return Number.isNaN(time) ? "" : String(time);
  };
  const features = fields.values();
  const clickFields = schema.click.map((field): ((click: number) => string) => {
    const kind = kindOf(field);
    if (kind === "time") return timeOf;
    if (kind === "weight") return (click) => formatFloat32(clicks.weights!.values[click]!);
    if (kind === "number") {
      const { values } = named(clicks.clickNumbers!, field.name);
      return (click) => formatFloat32(values[click]!);
    }
    return kind === "ignore" ? () => "" : features.next().value!;
  });
  const clickOf = (click: number) => clickFields.map((field) => field(click)).join(":");
  const clicksColumn = schema.columns.findIndex(({ kind }) => kind === "clicks");
  return (user, start, end) => {
    const texts = columns.map((column) => column(user, end - 1));
    texts[clicksColumn] = Array.from({ length: end - start }, (_, i) => clickOf(start + i)).join(";");
    return `${texts.join("\t")}\n`;
  };
}

/** Returns a function that writes the last queries of a user before the target. Their words have the same tokens. */
function queryWriter({ queryOffsets, offsets, ids, before }: Searches, vocabulary: Vocabulary) {
  return (user: number, target: number): string => {
    const end = before ? queryOffsets[user]! + before[target]! : queryOffsets[user + 1]!;
    const first = Math.max(queryOffsets[user]!, end - SEARCH_WINDOW);
    return Array.from({ length: end - first }, (_, i) => {
      const tokens = ids.subarray(offsets[first + i], offsets[first + i + 1]);
      // A query without words is written as one that has none either.
      return wordsOfTokens(Array.from(tokens, (id) => vocabulary.token(id))).join(" ") || "?";
    }).join(";");
  };
}

/** Throws ERR_DATASET if a value cannot be written to a click log without escapes. */
function withoutEscapes(value: string, separators: string): string {
  if (![...separators].some((separator) => value.includes(separator))) return value;
  throw new ShortlistError(
    "ERR_DATASET",
    `Cannot write ${JSON.stringify(value)} to ${TEST_LOG}, since the schema has no escapes for separators (tab : ; and _ in lists). Leave "escapes": false out of it. Or prepare without holding out, and train with --validation last`,
  );
}

/** The shortest decimal number that float32 rounds to this one; "" for NaN. */
export function formatFloat32(value: number): string {
  if (Number.isNaN(value)) return "";
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}

/**
 * The clicks before the cuts, and the searches before the last of them, in the same arrays. Users without such clicks
 * are left out.
 */
function keepBefore(clicks: Clicks, cuts: Int32Array): Clicks {
  const { clickOffsets, userFeatures, numbers, itemFeatures, times, weights, clickNumbers, searches } = clicks;
  const offsets = new Int32Array(clicks.users + 1);
  const valueEnds = itemFeatures.map(() => 0);
  const userValueEnds = userFeatures.map(() => 0);
  const keptSearches = searches?.map((feature) => new KeptSearches(feature));
  let [users, at] = [0, 0];
  for (let user = 0; user < clicks.users; user++) {
    const [start, cut] = [clickOffsets[user]!, cuts[user]!];
    if (cut === start) continue;
    itemFeatures.forEach(({ ids, offsets }, f) => {
      valueEnds[f] = moveValues(ids, offsets, start, cut, at, valueEnds[f]!);
    });
    times?.values.copyWithin(at, start, cut);
    weights?.values.copyWithin(at, start, cut);
    for (const { values } of clickNumbers ?? []) values.copyWithin(at, start, cut);
    userFeatures.forEach(({ ids, offsets }, f) => {
      userValueEnds[f] = moveValues(ids, offsets, user, user + 1, users, userValueEnds[f]!);
    });
    for (const kept of keptSearches ?? []) kept.add(user, start, cut, at);
    for (const { values } of numbers) values[users] = values[user]!;
    at += cut - start;
    offsets[++users] = at;
  }
  return {
    users,
    clicks: at,
    clickOffsets: offsets.subarray(0, users + 1),
    userFeatures: userFeatures.map(({ name, ids, offsets }, f) => ({
      name,
      ids: ids.subarray(0, offsets ? userValueEnds[f]! : users),
      ...(offsets && { offsets: offsets.subarray(0, users + 1) }),
    })),
    ...(keptSearches && { searches: keptSearches.map((kept) => kept.take(at)) }),
    numbers: numbers.map((number) => firstNumbers(number, users)),
    itemFeatures: itemFeatures.map(({ name, ids, offsets }, f) => ({
      name,
      ids: ids.subarray(0, offsets ? valueEnds[f]! : at),
      offsets: offsets?.subarray(0, at + 1),
    })),
    ...(times && { times: clickTimes(times.values.subarray(0, at)) }),
    ...(weights && { weights: clickWeights(weights.name, weights.values.subarray(0, at)) }),
    ...(clickNumbers && { clickNumbers: clickNumbers.map((number) => firstNumbers(number, at)) }),
  };
}

/** The first numbers of a feature, with the statistics of these alone. */
function firstNumbers({ name, values }: NumberValues, count: number): NumberValues {
  const kept = values.subarray(0, count);
  return { name, values: kept, ...statisticsOf(kept) };
}

/** Collects the searches of the kept users before their last kept click, in the same arrays. */
class KeptSearches {
  readonly #all: Searches;
  readonly #queryOffsets: Int32Array;
  #users = 0;
  #tokens = 0;

  constructor(all: Searches) {
    this.#all = all;
    this.#queryOffsets = new Int32Array(all.queryOffsets.length);
  }

  /** Adds a user whose clicks from `start` to before `end` are kept, and become those from `to` on. */
  add(user: number, start: number, end: number, to: number): void {
    const { queryOffsets, offsets, ids, before } = this.#all;
    const first = queryOffsets[user]!;
    const last = before ? first + before[end - 1]! : queryOffsets[user + 1]!;
    const place = this.#queryOffsets[this.#users]!;
    this.#tokens = moveValues(ids, offsets, first, last, place, this.#tokens);
    before?.copyWithin(to, start, end);
    this.#queryOffsets[++this.#users] = place + last - first;
  }

  /** Returns the searches, for `clicks` clicks. */
  take(clicks: number): Searches {
    const { name, offsets, ids, before } = this.#all;
    const queries = this.#queryOffsets[this.#users]!;
    return {
      name,
      queryOffsets: this.#queryOffsets.subarray(0, this.#users + 1),
      offsets: offsets.subarray(0, queries + 1),
      ids: ids.subarray(0, this.#tokens),
      ...(before && { before: before.subarray(0, clicks) }),
    };
  }
}

/**
 * Moves the values of the clicks from `start` to before `end` to click `to`, whose values begin at `valueEnd`; `to` is
 * at most `start`. Returns where they end.
 */
function moveValues(
  ids: Int32Array,
  offsets: Int32Array | undefined,
  start: number,
  end: number,
  to: number,
  valueEnd: number,
): number {
  if (!offsets) {
    ids.copyWithin(to, start, end);
    return valueEnd;
  }
  const [first, last] = [offsets[start]!, offsets[end]!];
  ids.copyWithin(valueEnd, first, last);
  for (let click = 0; click <= end - start; click++) offsets[to + click] = valueEnd + offsets[start + click]! - first;
  return valueEnd + last - first;
}

/** Counts the values of clicks anew, and gives them ids by these counts and the limit. The arrays are changed. */
function recount({ encoding, clicks, ...others }: DatasetContents, limit: AppearLimit): DatasetContents {
  const vocabularies = new Map<string, Vocabulary>();
  const features: FeatureCounts[] = [];
  const recountFeature = (name: string, unit: FeatureCounts["unit"], ids: Int32Array, isItem: boolean) => {
    const before = encoding.vocabularies.get(name)!;
    const occurrences = new Float64Array(before.size);
    for (const id of ids) occurrences[id]!++;
    const counts = new ValueCounts(occurrences.subarray(1));
    counts.unknown = occurrences[0]!;
    const appearLimit = appearLimitOf(limit, name, counts, isItem);
    const { vocabulary, newIds } = before.recounted(occurrences, appearLimit);
    if (isItem) checkItems(vocabulary, name, counts, appearLimit);
    for (let i = 0; i < ids.length; i++) ids[i] = newIds[ids[i]!]!;
    vocabularies.set(name, vocabulary);
    features.push(featureCountsOf(name, unit, counts, appearLimit));
  };
  const names = vocabularyNames(encoding.schema);
  const ofUsers: readonly (UserValues & { readonly unit: FeatureCounts["unit"] })[] = [
    ...clicks.userFeatures.map((feature) => ({ ...feature, unit: feature.offsets ? "uses" : "lines" }) as const),
    ...(clicks.searches ?? []).map((feature) => ({ ...feature, unit: "tokens" }) as const),
  ].sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
  for (const { name, unit, ids } of ofUsers) recountFeature(name, unit, ids, false);
  clicks.itemFeatures.forEach(({ name, ids, offsets }, f) => {
    recountFeature(name, offsets ? "uses" : "clicks", ids, f === 0);
  });
  const numbers = new Map(
    [...clicks.numbers, ...(clicks.clickNumbers ?? [])].map(({ name, values }) => [name, statisticsOf(values)]),
  );
  const searches = clicks.searches?.map(withoutUnknown);
  const kept = { ...clicks, ...(searches && { searches }) };
  return { ...others, encoding: { ...encoding, vocabularies, numbers }, clicks: kept, features };
}

/** Leaves out the tokens that have no id, in the same arrays. */
function withoutUnknown({ ids, offsets, ...others }: Searches): Searches {
  let [size, from] = [0, 0];
  for (let query = 0; query < offsets.length - 1; query++) {
    const end = offsets[query + 1]!;
    for (; from < end; from++) if (ids[from] !== 0) ids[size++] = ids[from]!;
    offsets[query + 1] = size;
  }
  return { ...others, offsets, ids: ids.subarray(0, size) };
}
