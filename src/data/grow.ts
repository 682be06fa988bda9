import { checkPath, checkWholeNumber, ShortlistError } from "../errors.js";
import { gatherItems, itemAttributes, joinItems } from "./catalogue.js";
import { type Clicks, type ItemValues, itemVocabulary, type NumberValues, type Searches } from "./clicks.js";
import type { Dataset, DatasetContents } from "./dataset.js";
import { evict, type LastGrowths } from "./evict.js";
import type { FeatureCounts } from "./feature_counts.js";
import { MAX_LENGTH } from "./int_list.js";
import { joinArrays, joinOffsets, joinValues } from "./join.js";
import { joinRows, type RowsOfUsers } from "./join_users.js";
import { missingWords, type Schema, USER_ID, vocabularyNames } from "./schema.js";
import type { LogOptions } from "./sources/read_log.js";
import { Titles } from "./titles.js";
import { Vocabulary } from "./vocabulary.js";
import { clickWeights } from "./weights.js";

/** How a dataset grows. */
export interface GrowthOptions {
  /**
   * Number of growths after which the counts of vocabularies, and so the noise distribution, weigh half. Undefined: old
   * clicks count like new ones.
   */
  readonly halfLife?: number | undefined;
  /** Number of each user's last clicks to keep of the dataset that grows. Undefined keeps all. */
  readonly history?: number | undefined;
  /**
   * Number of growths without a click after which items and users are dropped (default: never). The rows of tables that
   * they had are used again.
   */
  readonly evictAfter?: number | undefined;
}

/**
 * Throws ERR_OPTION unless the options of a growth are possible. Options of the names in `others` are those of datasets
 * that are prepared anew.
 */
export function checkGrowth<Name extends string>(
  options: GrowthOptions & { readonly from?: string | undefined } & { readonly [name in Name]?: unknown },
  others: readonly Name[],
): void {
  const { from, ...growth } = options;
  const { halfLife, history, evictAfter } = growth;
  if (from !== undefined) {
    checkPath("from", from);
    const given = others.find((name) => options[name] !== undefined);
    if (given) throw new ShortlistError("ERR_OPTION", `Expected no ${given} beside from, whose dataset decides it`);
  } else {
    const given = (["halfLife", "history", "evictAfter"] as const).find((name) => growth[name] !== undefined);
    if (given) throw new ShortlistError("ERR_OPTION", `Expected from, the dataset that grows, beside ${given}`);
  }
  if (halfLife !== undefined && !(halfLife > 0 && halfLife < Number.POSITIVE_INFINITY)) {
    throw new ShortlistError("ERR_OPTION", `Expected halfLife to be a number above 0 but received ${halfLife}`);
  }
  if (history !== undefined) checkWholeNumber("history", history, 1);
  if (evictAfter !== undefined) checkWholeNumber("evictAfter", evictAfter, 1);
}

/** What a dataset grew by. */
export interface Growth {
  /** Number of new clicks. */
  readonly clicks: number;
  /** Number of new users. */
  readonly users: number;
  /** Number of new values of each feature. */
  readonly values: Readonly<Record<string, number>>;
  /** Numbers of items and users that were dropped. */
  readonly evicted: { readonly items: number; readonly users: number };
}

/** A dataset that grew, and by what. */
interface GrownContents extends DatasetContents {
  readonly growth: Growth;
  readonly lastGrowths: LastGrowths;
}

/**
 * Adds new clicks to a dataset. All values of the new clicks must have ids, so that nothing is lost. Values that the
 * dataset knows keep their ids. Others get ids behind these, most frequent first, if they appear more often than the
 * limit of the dataset. The new clicks of a user follow the earlier ones. Throws ERR_DATASET if the new clicks have
 * another schema, or the dataset does not identify its users.
 */
export function growContents(
  old: Dataset,
  fresh: DatasetContents,
  { halfLife, history, evictAfter, onWarning }: GrowthOptions & Pick<LogOptions, "onWarning">,
): GrownContents {
  checkGrowable(old);
  checkSameSchema(old, fresh.encoding.schema);
  const updates = (old.grown?.updates ?? 0) + 1;
  const vocabularies = new Map<string, GrownVocabulary>();
  const item = old.schema.click[0]!.name;
  for (const name of vocabularyNames(old.schema)) {
    const [before, added] = [old.vocabularies.get(name)!, fresh.encoding.vocabularies.get(name)!];
    const counts = decayed(before.counts, halfLife, updates);
    const clicked = before.size - (name === item ? old.newItems : 0);
    vocabularies.set(name, growVocabulary(before, clicked, counts, added, old.appearLimits[name]!));
  }
  const renumber: Renumber = (values) => {
    const { idsOfFresh } = vocabularies.get(values.name)!;
    return { ...values, ids: values.ids.map((id) => idsOfFresh[id]!) };
  };
  const { clicks, known, users } = appendClicks(old.clicks, renumbered(fresh.clicks, renumber), history);
  const items = vocabularies.get(item)!;
  warnOfLateClicks(clicks, known, onWarning);
  const numbers = old.numbers;
  const encoding = {
    ...{ schema: old.schema, numbers, maxLineBytes: old.maxLineBytes },
    vocabularies: new Map([...vocabularies].map(([name, { vocabulary }]) => [name, vocabulary])),
  };
  const grown: GrownContents = {
    encoding,
    clicks,
    features: fresh.features.map((feature) => grownFeature(feature, old, vocabularies.get(feature.name)!)),
    report: { ...fresh.report, files: [...old.logs, ...fresh.report.files] },
    joinedLines: fresh.joinedLines,
    newItems: items.newItems,
    catalogue: grownCatalogue(old, clicks, items),
    ...(old.titles && { titles: grownTitles(old.titles, items) }),
    knownClicks: known,
    grown: { ...(old.id !== undefined && { from: old.id }), updates, ...(old.grown?.evicted && { evicted: true }) },
    lastGrowths: lastGrowthsOf(old, clicks, known, items, updates),
    growth: {
      clicks: fresh.clicks.clicks,
      users: users - old.clicks.users,
      values: Object.fromEntries([...vocabularies].map(([name, { added }]) => [name, added])),
      evicted: { items: 0, users: 0 },
    },
  };
  return evictAfter === undefined ? grown : withoutUnseen(grown, updates - evictAfter);
}

/** Drops the items and users whose last click came in growth `last` or before. */
function withoutUnseen(whole: GrownContents, last: number): GrownContents {
  const { contents, items, users } = evict(whole, last);
  const { grown, growth } = contents;
  if (items === 0 && users === 0) return contents;
  return { ...contents, grown: { ...grown!, evicted: true }, growth: { ...growth, evicted: { items, users } } };
}

/** When items and users had their last click, after growth number `updates`. */
function lastGrowthsOf(
  old: Dataset,
  clicks: Clicks,
  known: Int32Array,
  { vocabulary, oldIds }: GrownVocabulary,
  updates: number,
): LastGrowths {
  const { lastGrowths } = old;
  const items = Int32Array.from({ length: vocabulary.size }, (_, id) => lastGrowths?.items[oldIds[id]!] ?? 0);
  const users = Int32Array.from({ length: clicks.users }, (_, user) => lastGrowths?.users[user] ?? 0);
  const { ids } = clicks.itemFeatures[0]!;
  for (let user = 0; user < clicks.users; user++) {
    for (let click = clicks.clickOffsets[user]! + known[user]!; click < clicks.clickOffsets[user + 1]!; click++) {
      users[user] = updates;
      items[ids[click]!] = updates;
    }
  }
  return { items, users };
}

/** Throws ERR_DATASET unless the dataset says who its users are, so that new clicks can be added to theirs. */
export function checkGrowable({ folder, schema }: Dataset): void {
  if (schema.columns.some(({ name, kind }) => name === USER_ID && kind === "categorical")) return;
  throw new ShortlistError(
    "ERR_DATASET",
    `${folder}: Expected a categorical column "${USER_ID}", by which new clicks are added to the users they belong to. Prepare the dataset again with such a column`,
  );
}

function checkSameSchema({ folder, schema }: Dataset, other: Schema): void {
  const textOf = ({ columns, click }: Schema) => {
    const column = ({ name, kind, multiple }: Schema["columns"][number]) => `${name} (${kind}${multiple ? "s" : ""})`;
    const field = (of: Schema["click"][number]) =>
      `${of.name}${"kind" in of ? ` (${of.kind})` : of.multiple ? " (several)" : ""}`;
    return `columns ${columns.map(column).join(", ")} and clicks of ${click.map(field).join(", ")}`;
  };
  const wordsOf = (of: Schema) => [...missingWords(of)].sort().join("\0");
  if (textOf(schema) !== textOf(other)) {
    throw new ShortlistError(
      "ERR_DATASET",
      `Expected the schema of ${folder}, ${textOf(schema)}, but received ${textOf(other)}. Give the new events in the form of those that it was prepared from, with the same --items, --users, --searches, --weight, --click-number and --source`,
    );
  }
  if (wordsOf(schema) === wordsOf(other)) return;
  throw new ShortlistError(
    "ERR_DATASET",
    `Expected the words for a missing value of ${folder} but received others. Give the "missing" with which it was prepared`,
  );
}

// ---- vocabularies ---------------------------------------------------------------------------------------------------

/** A vocabulary that grew. */
interface GrownVocabulary {
  readonly vocabulary: Vocabulary;
  /** [new values] The id of each value of the new clicks; 0 if it has none. */
  readonly idsOfFresh: Int32Array;
  /** [size] The old id of each value; −1 if it had none. */
  readonly oldIds: Int32Array;
  /** Number of values of the new clicks that have no id, and of their uses. */
  readonly leftOut: { readonly values: number; readonly uses: number };
  /** Number of values that were added for clicks. */
  readonly added: number;
  /** Number of items at the end of the vocabulary that no click names. */
  readonly newItems: number;
}

/**
 * Returns the values with clicks in the old order, then those that the new clicks add, then the items that still have
 * no click. The first `clicked` old values are those with clicks.
 */
function growVocabulary(
  old: Vocabulary,
  clicked: number,
  oldCounts: Float64Array,
  fresh: Vocabulary,
  limit: number,
): GrownVocabulary {
  const freshCounts = fresh.counts;
  const tokens = old.tokens.slice(0, clicked);
  const idsOfFresh = new Int32Array(fresh.size);
  for (let id = 1; id < fresh.size; id++) {
    const token = fresh.token(id);
    const known = old.idOf(token);
    if (known > 0 && known < clicked) idsOfFresh[id] = known;
    else if (freshCounts[id]! > limit) idsOfFresh[id] = tokens.push(token) - 1;
  }
  const withClicks = tokens.length;
  for (let id = clicked; id < old.size; id++) {
    const token = old.token(id);
    if (idsOfFresh[fresh.idOf(token)] === 0) tokens.push(token);
  }
  const counts = new Float64Array(tokens.length);
  counts.set(oldCounts.subarray(0, clicked));
  const leftOut = { values: 0, uses: 0 };
  freshCounts.forEach((count, id) => {
    counts[idsOfFresh[id]!]! += count;
    if (id === 0 || count === 0 || idsOfFresh[id]! > 0) return;
    leftOut.values++;
    leftOut.uses += count;
  });
  return {
    vocabulary: new Vocabulary(tokens, counts),
    idsOfFresh,
    oldIds: Int32Array.from(tokens, (token, id) => (id === 0 ? 0 : old.idOf(token) || -1)),
    leftOut,
    added: withClicks - clicked,
    newItems: tokens.length - withClicks,
  };
}

/** Irrational steps of Roberts' low-discrepancy sequence in two dimensions. */
const [STEP_OF_ID, STEP_OF_UPDATE] = [0.7548776662466927, 0.5698402909980532];

/**
 * Counts that weigh half after `halfLife` growths. They stay whole numbers: a remainder is rounded up in as many growths
 * as its size says. A value that was counted keeps at least 1, because the noise distribution must not exclude it.
 */
function decayed(counts: Float64Array, halfLife: number | undefined, updates: number): Float64Array {
  if (halfLife === undefined) return counts;
  const factor = 2 ** (-1 / halfLife);
  return counts.map((count, id) => {
    const threshold = (id * STEP_OF_ID + updates * STEP_OF_UPDATE) % 1;
    return count === 0 ? 0 : Math.max(1, Math.floor(count * factor + threshold));
  });
}

/** The counts of a feature's new values, with the limit of the dataset. */
function grownFeature(feature: FeatureCounts, { appearLimits }: Dataset, { leftOut }: GrownVocabulary): FeatureCounts {
  const { values: valuesLeftOut, uses: usesLeftOut } = leftOut;
  return { ...feature, appearLimit: appearLimits[feature.name]!, valuesLeftOut, usesLeftOut };
}

// ---- clicks ---------------------------------------------------------------------------------------------------------

type Renumber = <Values extends { readonly name: string; readonly ids: Int32Array }>(values: Values) => Values;

/** The new clicks with the ids of the grown vocabularies. */
function renumbered(clicks: Clicks, renumber: Renumber): Clicks {
  return {
    ...clicks,
    userFeatures: clicks.userFeatures.map(renumber),
    itemFeatures: clicks.itemFeatures.map(renumber),
    ...(clicks.searches && { searches: clicks.searches.map(renumber) }),
  };
}

/**
 * Appends the new clicks of each user to the last `history` old ones. Returns the clicks of all users, and how many of
 * each user's clicks are old.
 */
function appendClicks(old: Clicks, fresh: Clicks, history = Number.POSITIVE_INFINITY) {
  const rows = rowsOfBoth(old, fresh);
  const { users } = rows;
  const both = concatenated(old, fresh);
  const known = new Int32Array(users);
  const clickOffsets = new Int32Array(users + 1);
  const order = new Int32Array(old.clicks + fresh.clicks);
  let end = 0;
  for (let user = 0; user < users; user++) {
    for (let i = rows.offsets[user]!; i < rows.offsets[user + 1]!; i++) {
      const row = rows.rows[i]!;
      const [start, rowEnd] = [both.clickOffsets[row]!, both.clickOffsets[row + 1]!];
      const first = row < old.users ? Math.max(start, rowEnd - history) : start;
      for (let click = first; click < rowEnd; click++) order[end++] = click;
      if (row < old.users) known[user] = rowEnd - first;
    }
    clickOffsets[user + 1] = end;
  }
  const kept = order.subarray(0, end);
  const clicks = joinRows(both, rows, kept, clickOffsets);
  const searches = clicks.searches?.map((joined, f) => {
    const before = searchesBefore(both, f, rows, old, fresh);
    return { ...joined, before: kept.map((click) => before[click]!) };
  });
  return { clicks: { ...clicks, ...(searches && { searches }) }, known, users };
}

/** The rows of each user, of old ones and then of new ones: the old row, and the row of new clicks if there is one. */
function rowsOfBoth(old: Clicks, fresh: Clicks): RowsOfUsers {
  const idsOf = ({ userFeatures }: Clicks) => userFeatures.find(({ name }) => name === USER_ID)!.ids;
  const [oldIds, freshIds] = [idsOf(old), idsOf(fresh)];
  const largest = [oldIds, freshIds].reduce((most, ids) => ids.reduce((a, b) => Math.max(a, b), most), 0);
  const userOfId = new Int32Array(largest + 1).fill(-1);
  oldIds.forEach((id, user) => {
    if (id > 0) userOfId[id] = user;
  });
  let users = old.users;
  const ownerOf = freshIds.map((id) => (userOfId[id]! >= 0 ? userOfId[id]! : users++));
  const offsets = new Int32Array(users + 1);
  for (let user = 0; user < old.users; user++) offsets[user + 1] = 1;
  for (const owner of ownerOf) offsets[owner + 1]!++;
  for (let user = 0; user < users; user++) offsets[user + 1]! += offsets[user]!;
  const rows = new Int32Array(old.users + fresh.users);
  const next = offsets.slice(0, users);
  for (let user = 0; user < old.users; user++) rows[next[user]!++] = user;
  ownerOf.forEach((owner, row) => {
    rows[next[owner]!++] = old.users + row;
  });
  return { users, offsets, rows };
}

/** The rows of old and new clicks, one after the other. */
function concatenated(old: Clicks, fresh: Clicks): Clicks {
  if (old.clicks + fresh.clicks > MAX_LENGTH) {
    throw new ShortlistError(
      "ERR_DATASET",
      `Expected at most ${MAX_LENGTH} clicks but received ${old.clicks} and ${fresh.clicks} new ones: keep fewer old ones with --history`,
    );
  }
  const times = old.times && fresh.times && joinArrays([old.times.values, fresh.times.values]);
  const weights = old.weights && fresh.weights && joinArrays([old.weights.values, fresh.weights.values]);
  return {
    users: old.users + fresh.users,
    clicks: old.clicks + fresh.clicks,
    clickOffsets: joinOffsets([old.clickOffsets, fresh.clickOffsets]),
    userFeatures: old.userFeatures.map((feature, f) => joinValues([feature, fresh.userFeatures[f]!])),
    numbers: old.numbers.map((number, f) => joinNumbers(number, fresh.numbers[f]!)),
    itemFeatures: old.itemFeatures.map((feature, f) => joinValues([feature, fresh.itemFeatures[f]!])),
    ...(times && { times: { ...old.times!, values: times } }),
    ...(weights && { weights: clickWeights(old.weights!.name, weights) }),
    ...(old.clickNumbers && {
      clickNumbers: old.clickNumbers.map((number, f) => joinNumbers(number, fresh.clickNumbers![f]!)),
    }),
    ...(old.searches && {
      searches: old.searches.map(({ name, ids, offsets, queryOffsets }, f): Searches => {
        const other = fresh.searches![f]!;
        return {
          ...{ name, ids: joinArrays([ids, other.ids]), offsets: joinOffsets([offsets, other.offsets]) },
          queryOffsets: joinOffsets([queryOffsets, other.queryOffsets]),
        };
      }),
    }),
  };
}

/** The old and the new numbers, with the statistics of the old ones, with which the network was trained. */
function joinNumbers(old: NumberValues, fresh: NumberValues): NumberValues {
  return { ...old, values: joinArrays([old.values, fresh.values]) };
}

/** [clicks of both] How many of its user's queries, of which the old ones come first, came before each click. */
function searchesBefore(both: Clicks, feature: number, rows: RowsOfUsers, old: Clicks, fresh: Clicks): Int32Array {
  const { queryOffsets } = both.searches![feature]!;
  const [before, after] = [old.searches![feature]!.before, fresh.searches![feature]!.before];
  const counts = new Int32Array(both.clicks);
  for (let user = 0; user < rows.users; user++) {
    let earlier = 0;
    for (let i = rows.offsets[user]!; i < rows.offsets[user + 1]!; i++) {
      const row = rows.rows[i]!;
      const queries = queryOffsets[row + 1]! - queryOffsets[row]!;
      for (let click = both.clickOffsets[row]!; click < both.clickOffsets[row + 1]!; click++) {
        const own = row < old.users ? before?.[click] : after?.[click - old.clicks];
        counts[click] = earlier + (own ?? queries);
      }
      earlier += queries;
    }
  }
  return counts;
}

/** Warns of new clicks that are older than the last known click of their user. */
function warnOfLateClicks(
  { users, clickOffsets, times }: Clicks,
  known: Int32Array,
  onWarning: LogOptions["onWarning"],
): void {
  if (!times) return;
  let [late, all] = [0, 0];
  for (let user = 0; user < users; user++) {
    const first = clickOffsets[user]! + known[user]!;
    if (known[user] === 0) continue;
    const last = times.values[first - 1]!;
    for (let click = first; click < clickOffsets[user + 1]!; click++) {
      all++;
      if (times.values[click]! < last) late++;
    }
  }
  if (late === 0) return;
  onWarning?.(
    `${late} of ${all} new clicks of known users are older than the last click of their user in the dataset: they count as later ones. Were these events added before?`,
  );
}

// ---- items ----------------------------------------------------------------------------------------------------------

/**
 * The attributes of all items: as of the last click or, for an item without clicks, as the old dataset has them.
 * Undefined if every item has clicks.
 */
function grownCatalogue(
  old: Dataset,
  clicks: Clicks,
  { vocabulary: { size }, oldIds }: GrownVocabulary,
): readonly ItemValues[] | undefined {
  const isClicked = new Uint8Array(size);
  isClicked[0] = 1; // `<unk>` has no attributes
  for (const id of clicks.itemFeatures[0]!.ids) isClicked[id] = 1;
  if (isClicked.every((clicked) => clicked === 1)) return undefined;
  const ofOld = old.catalogue ?? itemAttributes(old.clicks, itemVocabulary(old).size);
  const both = joinItems(itemAttributes(clicks, size), ofOld);
  const rows = oldIds.map((oldId, id) => (isClicked[id] === 1 ? id : size + oldId));
  return gatherItems(both, rows);
}

/** The titles of all items. */
function grownTitles(old: Titles, { oldIds }: GrownVocabulary): Titles {
  return Titles.of(Array.from(oldIds, (oldId) => (oldId > 0 ? old.titleOf(oldId) : undefined)));
}
