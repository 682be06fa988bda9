import { ShortlistError } from "../../errors.js";
import { type AppearLimit, appearLimitOf } from "../appear_limits.js";
import { type Clicks, type ItemValues, statisticsOf } from "../clicks.js";
import type { DatasetContents } from "../dataset.js";
import { checkItems, type FeatureCounts, featureCountsOf } from "../feature_counts.js";
import type { PackedTokens } from "../packed_tokens.js";
import { parseSchema, type Schema } from "../schema.js";
import { DEFAULT_MAX_LINE_BYTES, type LogReport } from "../sources/read_log.js";
import { clickTimes } from "../times.js";
import { TokenCounts, ValueCounts } from "../token_table.js";
import { Vocabulary } from "../vocabulary.js";
import type { FeatureColumn } from "./feature_columns.js";
import type { FeatureValues } from "./feature_table.js";
import type { SortedEvents } from "./read_events.js";

/** Names of the features that every table of events has. */
export const [USER, ITEM, TIME] = ["user_id", "item", "time"];

/** Everything that was read of tables: events, and by number what their users and items are. */
export interface ReadTables {
  readonly events: SortedEvents;
  readonly userTokens: PackedTokens;
  readonly itemTokens: PackedTokens;
  readonly userFeatures: readonly FeatureValues[];
  readonly itemFeatures: readonly FeatureValues[];
}

/** The schema of a dataset, and of the click log that would give the same. */
export function schemaOf(
  hasTime: boolean,
  users: readonly FeatureColumn[],
  items: readonly FeatureColumn[],
  missing: readonly string[],
): Schema {
  return parseSchema({
    columns: [
      { name: USER },
      ...users.map(({ name, kind }) => ({ name, kind: kind === "number" ? "number" : "categorical" })),
      { name: "clicks" },
    ],
    click: [
      { name: ITEM },
      ...items.map(({ name, kind }) => ({ name, ...(kind === "list" && { multiple: true }) })),
      ...(hasTime ? [{ name: TIME, kind: "time" }] : []),
    ],
    missing,
  });
}

/** The values of a list; a list without any has one that is missing, as in a click log. */
function partsOf({ kind, separator }: FeatureColumn, text: string, isMissing: (part: string) => boolean) {
  const parts = kind === "list" ? text.split(separator!).map((part) => part.trim()) : [text];
  const values = parts.filter((part) => !isMissing(part));
  return values.length > 0 ? values : [null];
}

/**
 * What a dataset is written from. A user counts once, as a line of a click log does; an item and its attributes count
 * once for each event. `isMissing` tells the words for a missing value.
 */
export function contentsOf(
  { events, userTokens, itemTokens, userFeatures, itemFeatures }: ReadTables,
  schema: Schema,
  report: LogReport,
  limit: AppearLimit,
  isMissing: (text: string) => boolean,
): DatasetContents {
  const { offsets, itemNumbers, times } = events;
  const occurrences = new Float64Array(itemTokens.size);
  for (let event = 0; event < itemNumbers.length; event++) occurrences[itemNumbers[event]!]!++;
  const once = new Float64Array(userTokens.size).fill(1);

  const found = new FeatureVocabularies(limit, isMissing);
  const users: { readonly name: string; readonly ids: Int32Array }[] = [
    { name: USER, ids: found.idsOfTokens(USER, "lines", userTokens, once) },
  ];
  for (const feature of userFeatures.filter(({ kind }) => kind !== "number")) {
    const ids = found.idsOfTexts(feature, "lines", once);
    users.push({ name: feature.name, ids: feature.indices.map((index) => ids.at(index)![0]!) });
  }
  const numbers = userFeatures.filter(({ kind }) => kind === "number").map(numbersOf);
  const itemIds = found.idsOfTokens(ITEM, "clicks", itemTokens, occurrences);
  const attributes = itemFeatures.map((feature) => {
    const ids = found.idsOfTexts(feature, feature.kind === "list" ? "uses" : "clicks", occurrences);
    return valuesOfEvents(feature, itemNumbers, (item) => ids.at(feature.indices[item]!)!);
  });
  for (let event = 0; event < itemNumbers.length; event++) itemNumbers[event] = itemIds[itemNumbers[event]!]!;
  const clicks: Clicks = {
    users: userTokens.size,
    clicks: itemNumbers.length,
    clickOffsets: offsets,
    userFeatures: users,
    numbers,
    itemFeatures: [{ name: ITEM, ids: itemNumbers, offsets: undefined }, ...attributes],
    ...(times && { times: clickTimes(times) }),
  };
  const statistics = new Map(numbers.map(({ name, mean, standardDeviation }) => [name, { mean, standardDeviation }]));
  const { vocabularies, features } = found;
  const encoding = { schema, vocabularies, numbers: statistics, maxLineBytes: DEFAULT_MAX_LINE_BYTES };
  return { encoding, clicks, features, report };
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
    indices.forEach((index, row) => {
      if (weights[row] === 0) return;
      for (const part of parts[index < 0 ? texts.length : index]!) counts.add(part, weights[row]!);
    });
    const appearLimit = appearLimitOf(this.#limit, name, counts, false);
    const vocabulary = Vocabulary.fromCounts(counts, appearLimit);
    this.vocabularies.set(name, vocabulary);
    this.features.push(featureCountsOf(name, unit, counts, appearLimit));
    return parts.map((tokens) => Int32Array.from(tokens, (token) => vocabulary.idOf(token)));
  }
}

/** The values of an attribute for each event. `itemNumbers[event]` is the item, and `idsOf` has the ids of its values. */
function valuesOfEvents(
  { name, kind }: FeatureValues,
  itemNumbers: Int32Array,
  idsOf: (item: number) => Int32Array,
): ItemValues {
  if (kind !== "list") return { name, ids: itemNumbers.map((item) => idsOf(item)[0]!), offsets: undefined };
  const offsets = new Int32Array(itemNumbers.length + 1);
  itemNumbers.forEach((item, event) => {
    offsets[event + 1] = offsets[event]! + idsOf(item).length;
  });
  const ids = new Int32Array(offsets.at(-1)!);
  itemNumbers.forEach((item, event) => {
    ids.set(idsOf(item), offsets[event]!);
  });
  return { name, ids, offsets };
}

/** The numbers of users, NaN where missing, with their statistics as a click log's reading computes them. */
function numbersOf({ name, column, texts, indices }: FeatureValues): Clicks["numbers"][number] {
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
