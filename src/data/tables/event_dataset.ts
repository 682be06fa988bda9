import { ShortlistError } from "../../errors.js";
import { type AppearLimit, appearLimitOf } from "../appear_limits.js";
import { catalogueOfValues, itemAttributes, joinItems } from "../catalogue.js";
import {
  type Clicks,
  type ItemValues,
  type NumberValues,
  type Searches,
  statisticsOf,
  type UserValues,
} from "../clicks.js";
import type { DatasetContents } from "../dataset.js";
import { checkItems, type FeatureCounts, featureCountsOf } from "../feature_counts.js";
import { cutsOf, type HoldOut } from "../hold_out.js";
import { MAX_LENGTH } from "../int_list.js";
import { joinArrays } from "../join.js";
import type { PackedTokens } from "../packed_tokens.js";
import { clickNumbers, parseSchema, type Schema } from "../schema.js";
import { queryTokens, SearchLookup } from "../searches.js";
import { DEFAULT_MAX_LINE_BYTES, type LogReport } from "../sources/read_log.js";
import { clickTimes } from "../times.js";
import { Titles } from "../titles.js";
import { TokenCounts, ValueCounts } from "../token_table.js";
import { Vocabulary } from "../vocabulary.js";
import { clickWeights } from "../weights.js";
import type { FeatureColumn } from "./feature_columns.js";
import { type FeatureValues, partsOf, type ReadFeatures } from "./feature_table.js";
import type { SortedEvents } from "./read_events.js";
import type { SortedSearches } from "./search_table.js";

/** Names of the features that every table of events has. */
export const [USER, ITEM, TIME] = ["user_id", "item", "time"];
/** Name of the click field with the weights of events. */
export const WEIGHT = "weight";
/** Name of the feature of past searches. */
export const SEARCHES = "searches";

/** Everything that was read of tables: events, and by number what their users and items are. */
export interface ReadTables {
  readonly events: SortedEvents;
  readonly userFeatures: readonly FeatureValues[];
  /** What the table of items says. Undefined if there is none. */
  readonly items: ReadFeatures | undefined;
  readonly searches?: SortedSearches | undefined;
}

/** The schema of a dataset, and of the click log that would give the same. */
export function schemaOf(
  has: {
    readonly time: boolean;
    readonly weight: boolean;
    /** Names of the numbers of clicks. */
    readonly numbers: readonly string[];
    readonly searches: boolean;
  },
  users: readonly FeatureColumn[],
  items: readonly FeatureColumn[],
  missing: readonly string[],
): Schema {
  return parseSchema({
    columns: [
      { name: USER },
      ...users.map(({ name, kind }) => ({
        ...{ name, kind: kind === "number" ? "number" : "categorical" },
        ...(kind === "list" && { multiple: true }),
      })),
      ...(has.searches ? [{ name: SEARCHES, kind: "tokens" }] : []),
      { name: "clicks" },
    ],
    click: [
      { name: ITEM },
      ...items.map(({ name, kind }) => ({ name, ...(kind === "list" && { multiple: true }) })),
      ...(has.time ? [{ name: TIME, kind: "time" }] : []),
      ...(has.weight ? [{ name: WEIGHT, kind: "weight" }] : []),
      ...has.numbers.map((name) => ({ name, kind: "number" })),
    ],
    missing,
  });
}

/**
 * What a dataset is written from. A user counts once, as a line of a click log does; an item and its attributes count
 * once for each event. `isMissing` tells the words for a missing value.
 */
export function contentsOf(
  { events, userFeatures, items, searches }: ReadTables,
  schema: Schema,
  report: LogReport,
  limit: AppearLimit,
  isMissing: (text: string) => boolean,
): DatasetContents {
  const { offsets, itemNumbers, times, weights } = events;
  const occurrences = Float64Array.from(events.items.counts);
  const once = new Float64Array(events.users.size).fill(1);

  const found = new FeatureVocabularies(limit, isMissing);
  const users: UserValues[] = [{ name: USER, ids: found.idsOfTokens(USER, "lines", events.users.tokens, once) }];
  const everyone = Int32Array.from({ length: events.users.size }, (_, user) => user);
  for (const feature of userFeatures.filter(({ kind }) => kind !== "number")) {
    const ids = found.idsOfTexts(feature, feature.kind === "list" ? "uses" : "lines", once);
    const values = valuesOf(feature, "users", everyone, (user) => ids.at(feature.indices[user]!)!);
    users.push({ name: values.name, ids: values.ids, ...(values.offsets && { offsets: values.offsets }) });
  }
  const searched = searches && [found.idsOfSearches(searches)];
  const numbers = userFeatures.filter(({ kind }) => kind === "number").map(numbersOf);
  const ofClicks = clickNumbers(schema).map((name, n) => {
    const values = events.numbers[n]!;
    return { name, values, ...statisticsOf(values) };
  });
  const itemIds = found.idsOfTokens(ITEM, "clicks", events.items.tokens, occurrences);
  const attributes = (items?.values ?? []).map((feature) => {
    const ids = found.idsOfTexts(feature, feature.kind === "list" ? "uses" : "clicks", occurrences);
    return valuesOf(feature, "events", itemNumbers, (item) => ids.at(feature.indices[item]!)!);
  });
  for (let event = 0; event < itemNumbers.length; event++) itemNumbers[event] = itemIds[itemNumbers[event]!]!;
  const clicks: Clicks = {
    users: events.users.size,
    clicks: itemNumbers.length,
    clickOffsets: offsets,
    userFeatures: users,
    numbers,
    itemFeatures: [{ name: ITEM, ids: itemNumbers, offsets: undefined }, ...attributes],
    ...(times && { times: clickTimes(times) }),
    ...(weights && { weights: clickWeights(WEIGHT, weights) }),
    ...(ofClicks.length > 0 && { clickNumbers: ofClicks }),
    ...(searched && { searches: searched }),
  };
  const statistics = new Map(
    [...numbers, ...ofClicks].map(({ name, mean, standardDeviation }) => [name, { mean, standardDeviation }]),
  );
  const { vocabularies, features } = found;
  const encoding = { schema, vocabularies, numbers: statistics, maxLineBytes: DEFAULT_MAX_LINE_BYTES };
  return { encoding, clicks, features, report };
}

/** [items] Number of events of each item that are not held out, for events that `contentsOf` has not changed yet. */
export function keptOccurrences(events: SortedEvents, holdOut: HoldOut | undefined): Int32Array {
  const { items, offsets, itemNumbers, times } = events;
  if (!holdOut) return items.counts;
  const users = offsets.length - 1;
  const cuts = cutsOf({ users, clickOffsets: offsets, times: times && { values: times } }, holdOut);
  const occurrences = new Int32Array(items.size);
  for (let user = 0; user < users; user++) {
    for (let event = offsets[user]!; event < cuts[user]!; event++) occurrences[itemNumbers[event]!]!++;
  }
  return occurrences;
}

/**
 * Adds what the table of items says besides attributes of clicks: the titles, and the items that no event names (or
 * only those that are held out), which are new items. Items are new only if the table has attributes to recommend them
 * by. `occurrences` are those of `keptOccurrences`. A dataset that grew may have new items, attributes and titles already.
 */
export function withItemTable(
  contents: DatasetContents,
  { events, items }: ReadTables,
  occurrences: Int32Array,
  isMissing: (text: string) => boolean,
): DatasetContents {
  if (!items) return contents;
  const { tokens } = events.items;
  const tokenOf = (item: number) => (item < tokens.size ? tokens.token(item) : items.unseen[item - tokens.size]!);
  const known = contents.encoding.vocabularies.get(ITEM)!;
  const found = items.values.length === 0 ? [] : newItemsOf(items, occurrences, tokenOf);
  const added = found.filter(({ token }) => known.idOf(token) === 0);
  const extended = added.length === 0 ? contents : withNewItems(contents, items, added, isMissing);
  if (!items.titles) return extended;
  const vocabulary = extended.encoding.vocabularies.get(ITEM)!;
  const titles = Array.from({ length: vocabulary.size }, (_, id) => contents.titles?.titleOf(id));
  items.titles.forEach((title, item) => {
    const id = vocabulary.idOf(tokenOf(item));
    if (id > 0) titles[id] = title;
  });
  return { ...extended, titles: Titles.of(titles) };
}

/** An item that is new: its number among those of the events and the unseen ones, and its token. */
interface NewItem {
  readonly item: number;
  readonly token: string;
}

/** The items with a row but without an event that is kept, in the order of the bytes of their tokens. */
function newItemsOf(
  { hasRow, unseen }: ReadFeatures,
  occurrences: Int32Array,
  tokenOf: (item: number) => string,
): NewItem[] {
  const found: (NewItem & { readonly bytes: Buffer })[] = [];
  for (let item = 0; item < occurrences.length + unseen.length; item++) {
    if (item < occurrences.length && (occurrences[item]! > 0 || hasRow[item] === 0)) continue;
    const token = tokenOf(item);
    found.push({ item, token, bytes: Buffer.from(token) });
  }
  return found.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
}

function withNewItems(
  contents: DatasetContents,
  { values }: ReadFeatures,
  added: readonly NewItem[],
  isMissing: (text: string) => boolean,
): DatasetContents {
  const { schema, vocabularies } = contents.encoding;
  const known = vocabularies.get(ITEM)!;
  const attributes = values.map((feature) => {
    const vocabulary = vocabularies.get(feature.name)!;
    return added.map(({ item }) => {
      const text = feature.texts[feature.indices[item]!] ?? "";
      return partsOf(feature, text, isMissing).map((part) => vocabulary.idOf(part));
    });
  });
  const extended = known.append(added.map(({ token }) => token));
  return {
    ...contents,
    encoding: { ...contents.encoding, vocabularies: new Map(vocabularies).set(ITEM, extended) },
    newItems: (contents.newItems ?? 0) + added.length,
    catalogue: joinItems(
      contents.catalogue ?? itemAttributes(contents.clicks, known.size),
      catalogueOfValues(schema, attributes),
    ),
    ...(contents.lastGrowths && {
      lastGrowths: {
        ...contents.lastGrowths,
        items: joinArrays([contents.lastGrowths.items, new Int32Array(added.length)]),
      },
    }),
    ...(contents.titles && { titles: contents.titles.append(new Array(added.length).fill(null)) }),
  };
}

/** The vocabularies of features, made one after the other, and how many values each has. */
class FeatureVocabularies {
  readonly vocabularies = new Map<string, Vocabulary>();
  readonly features: FeatureCounts[] = [];
  readonly #limit: AppearLimit;
  readonly #isMissing: (text: string) => boolean;

  constructor(limit: AppearLimit, isMissing: (text: string) => boolean) {
    this.#limit = limit;
    this.#isMissing = isMissing;
  }

  /** [tokens] The id of each distinct token; `counts` says how often it occurs. */
  idsOfTokens(name: string, unit: FeatureCounts["unit"], tokens: PackedTokens, counts: Float64Array): Int32Array {
    const values = new ValueCounts(counts);
    const appearLimit = appearLimitOf(this.#limit, name, values, name === ITEM);
    const { vocabulary, ids } = Vocabulary.fromSorted(tokens, counts, 0, appearLimit);
    if (name === ITEM) checkItems(vocabulary, name, values, appearLimit);
    this.vocabularies.set(name, vocabulary);
    this.features.push(featureCountsOf(name, unit, values, appearLimit));
    return ids;
  }

  /** The ids of each distinct text, and of a missing one at the end. `weights[i]` says how often row i counts. */
  idsOfTexts(feature: FeatureValues, unit: FeatureCounts["unit"], weights: Float64Array): Int32Array[] {
    const { name, texts, indices } = feature;
    const parts = [...texts.map((text) => partsOf(feature, text, this.#isMissing)), [null]];
    const counts = new TokenCounts();
    indices.subarray(0, weights.length).forEach((index, row) => {
      if (weights[row] === 0) return;
      for (const part of parts[index < 0 ? texts.length : index]!) counts.add(part, weights[row]!);
    });
    const appearLimit = appearLimitOf(this.#limit, name, counts, false);
    const vocabulary = Vocabulary.fromCounts(counts, appearLimit);
    this.vocabularies.set(name, vocabulary);
    this.features.push(featureCountsOf(name, unit, counts, appearLimit));
    return parts.map((tokens) => Int32Array.from(tokens, (token) => vocabulary.idOf(token)));
  }

  /** The searches as ids of those tokens that are frequent enough for one. */
  idsOfSearches(searches: SortedSearches): Searches {
    const uses = countTexts(searches);
    const counts = new TokenCounts();
    searches.texts.forEach((text, number) => {
      if (uses[number]! > 0) for (const token of queryTokens(text)) counts.add(token, uses[number]!);
    });
    const appearLimit = appearLimitOf(this.#limit, SEARCHES, counts, false);
    const vocabulary = Vocabulary.fromCounts(counts, appearLimit);
    this.vocabularies.set(SEARCHES, vocabulary);
    this.features.push(featureCountsOf(SEARCHES, "tokens", counts, appearLimit));
    const lookup = new SearchLookup(vocabulary);
    const idsOf = searches.texts.map((text, number) => (uses[number]! > 0 ? lookup.idsOf(text) : []));
    const { textNumbers, offsets: queryOffsets, before } = searches;
    const offsets = new Int32Array(textNumbers.length + 1);
    let size = 0;
    textNumbers.forEach((number, query) => {
      size += idsOf[number]!.length;
      offsets[query + 1] = size;
    });
    if (size > MAX_LENGTH) {
      throw new ShortlistError(
        "ERR_DATASET",
        `Expected at most ${MAX_LENGTH} tokens of searches but received ${size}: raise --feature-appear-limit`,
      );
    }
    const ids = new Int32Array(size);
    textNumbers.forEach((number, query) => {
      ids.set(idsOf[number]!, offsets[query]);
    });
    return { name: SEARCHES, queryOffsets, offsets, ids, ...(before && { before }) };
  }
}

/** The number of uses of each text. */
function countTexts({ texts, textNumbers }: SortedSearches): Float64Array {
  const counts = new Float64Array(texts.length);
  for (const number of textNumbers) counts[number]!++;
  return counts;
}

/**
 * The values of a feature for all events, given by the numbers of their items, or for all users; `idsOf` has the ids of
 * the values of an item or user.
 */
function valuesOf(
  { name, kind }: FeatureValues,
  what: "events" | "users",
  owners: Int32Array,
  idsOf: (owner: number) => Int32Array,
): ItemValues {
  if (kind !== "list") return { name, ids: owners.map((owner) => idsOf(owner)[0]!), offsets: undefined };
  const offsets = new Int32Array(owners.length + 1);
  let values = 0;
  for (let i = 0; i < owners.length; i++) {
    values += idsOf(owners[i]!).length;
    offsets[i + 1] = values;
  }
  if (values > MAX_LENGTH) {
    throw new ShortlistError(
      "ERR_DATASET",
      `Expected at most ${MAX_LENGTH} values of "${name}" in all ${what} but received ${values}: shorten its lists, or leave it out`,
    );
  }
  const ids = new Int32Array(values);
  for (let i = 0; i < owners.length; i++) ids.set(idsOf(owners[i]!), offsets[i]!);
  return { name, ids, offsets };
}

/** The numbers of users, NaN where missing, with their statistics as a click log's reading computes them. */
function numbersOf({ name, column, texts, indices }: FeatureValues): NumberValues {
  const numbers = texts.map((text) => {
    const number = Math.fround(text.trim() === "" ? Number.NaN : Number(text));
    if (Number.isFinite(number)) return number;
    throw new ShortlistError(
      "ERR_TABLE",
      `Expected numbers in column "${column}" of users but received ${JSON.stringify(text)}`,
    );
  });
  const values = Float32Array.from(indices, (index) => (index < 0 ? Number.NaN : numbers[index]!));
  return { name, values, ...statisticsOf(values) };
}
