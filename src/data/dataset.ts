import { createHash } from "node:crypto";
import { mkdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { checkChoice, checkOptions, checkPath, ShortlistError } from "../errors.js";
import { type AppearLimit, appearLimitOf, checkAppearLimit } from "./appear_limits.js";
import { catalogueTensors, itemAttributes, parseCatalogue, sliceItems } from "./catalogue.js";
import {
  type Clicks,
  type Encoding,
  type ExpectedSizes,
  encodeRows,
  type ItemValues,
  itemVocabulary,
  type NumberStatistics,
  type NumberValues,
  type Searches,
  singleClickUsers,
  type UserValues,
} from "./clicks.js";
import { checkNoSequences, doubtOfRepeats, doubtsOf } from "./doubts.js";
import type { LastGrowths } from "./evict.js";
import { checkItems, type FeatureCounts, featureCountsOf } from "./feature_counts.js";
import { formatJson, hasCode, replaceFile } from "./files.js";
import { checkGrowable, checkGrowth, type Growth, type GrowthOptions, growContents } from "./grow.js";
import { checkHoldOut, checkTimesToSplit, type HoldOut, holdClicksOut, TEST_LOG } from "./hold_out.js";
import { ingestLogs } from "./ingest.js";
import { identitiesOf, joinUsers, RowOwners, type RowsOfUsers } from "./join_users.js";
import {
  digestsOf,
  type FolderReader,
  type MemberIds,
  readFolder,
  readTitles,
  readVocabulary,
  VOCABULARY,
  vocabularyFile,
} from "./members.js";
import { type FolderKind, replaceFolder, withOutputFolder } from "./output_folder.js";
import { readSafetensors, type SafetensorsTensor, type TensorToWrite, writeSafetensors } from "./safetensors.js";
import {
  clickNumbers,
  DEFAULT_MISSING,
  DEFAULT_SCHEMA,
  type ItemFeature,
  itemFeatures,
  numberNames,
  parseSchema,
  parseStoredSchema,
  type Schema,
  timeField,
  USER_ID,
  type UserFeature,
  userFeatures,
  userFeaturesOf,
  vocabularyNames,
  weightField,
} from "./schema.js";
import { queryTokens } from "./searches.js";
import { checkLogs, type Log, sourceOf } from "./sources/log.js";
import {
  DEFAULT_MAX_LINE_BYTES,
  isMaxLineBytes,
  type LogOptions,
  type LogReport,
  readLog,
} from "./sources/read_log.js";
import type { Click, LogRow, LogSource, Token } from "./sources/source.js";
import { migrate, type StoredFormat } from "./stored_format.js";
import { type ClickTimes, clickTimes } from "./times.js";
import { TITLES, type Titles } from "./titles.js";
import { TokenCounts } from "./token_table.js";
import { Turns } from "./turns.js";
import { Vocabulary } from "./vocabulary.js";
import { type ClickWeights, clickWeights } from "./weights.js";

/**
 * The format of `dataset.json`. Every change is a new version with a migration; test/fixtures has a dataset of every
 * version.
 */
export const DATASET_FORMAT: StoredFormat = {
  name: "shortlist-dataset",
  version: 3,
  code: "ERR_DATASET",
  remake: "prepare the dataset again",
  // Version 1 had one limit for all features. Since version 3, columns of users may have several values, or searches.
  migrations: [{ version: 2, member: "feature_appear_limit", change: { renamed: "appear_limits" } }],
};
const DESCRIPTION = "dataset.json";
const CLICKS = "clicks.safetensors";
/** Subfolder for copies of logs that can be read only once. It exists while the dataset is prepared. */
const COPIES = "logs";
/** The number of each user's known clicks in a dataset that grew. No feature has a name with a dot. */
const KNOWN_CLICKS = "clicks.known";
/** In which growth items and users had their last click. */
const LAST_GROWTHS = { items: "items.last_growth", users: "users.last_growth" } as const;
const MAX_PENDING_CLICKS = 1 << 20;

/** Options of `prepareDataset`. */
export interface PrepareOptions extends LogOptions, GrowthOptions {
  /** Logs, or paths of click logs, which are read one after the other. */
  readonly logs: readonly Log[];
  /** Folder to write the dataset to. An existing dataset is replaced; a folder with anything else is refused. */
  readonly output: string;
  /** Schema of the logs (default `DEFAULT_SCHEMA`). */
  readonly schema?: Schema | undefined;
  /** Values that appear more often than this get an id of their own; the others become `<unk>` (default "auto"). */
  readonly featureAppearLimit?: AppearLimit | undefined;
  /**
   * What to do with several lines of one user, identified by the column `user_id`. "join" (default): they are one user,
   * whose clicks are sorted by time or, without times, by line. "keep": each line is a separate user.
   */
  readonly repeatUsers?: "join" | "keep" | undefined;
  /**
   * Clicks to leave out. `test.tsv` in the folder, a click log for `train --test`, then has a line for each user with
   * kept and held-out clicks; its target is the first click that is held out.
   */
  readonly holdOut?: HoldOut | undefined;
  /**
   * Folder of a dataset to add the clicks to: it grows by them, and is written to `output`. The logs have its schema,
   * and its limits hold for new values. Not together with `schema`, `featureAppearLimit`, `repeatUsers` and `holdOut`.
   */
  readonly from?: string | undefined;
  /**
   * Threads that read click logs (default: SHORTLIST_THREADS, or else the number of processors). The dataset does not
   * depend on it.
   */
  readonly threads?: number | undefined;
  /**
   * Called while the logs are read. Click logs are read once (pass 1). Other sources, and all if the native engine is not
   * built, are read twice: pass 1 counts the values, pass 2 encodes them.
   */
  readonly progress?: ((pass: 1 | 2, bytes: number, totalBytes: number) => void) | undefined;
}

const PREPARE_OPTIONS: Readonly<Record<keyof PrepareOptions, true>> = {
  logs: true,
  output: true,
  schema: true,
  featureAppearLimit: true,
  repeatUsers: true,
  holdOut: true,
  from: true,
  halfLife: true,
  history: true,
  evictAfter: true,
  threads: true,
  progress: true,
  onBadLine: true,
  onWarning: true,
  maxLineBytes: true,
  signal: true,
};

/** Result of `prepareDataset`. */
export interface PreparedDataset {
  /** Number of users: one for each usable line, minus the joined lines. */
  readonly users: number;
  /** Number of lines that were joined to an earlier line of the same user. */
  readonly joinedLines: number;
  /** Number of clicks of all users. */
  readonly clicks: number;
  /** Size of each vocabulary, including `<unk>`. */
  readonly vocabularySizes: Readonly<Record<string, number>>;
  /** How many values of each feature got an id. */
  readonly features: readonly FeatureCounts[];
  /** Number of users with a single click, who have no click to predict from an earlier one. */
  readonly singleClickUsers: number;
  /** Range of the click times. Undefined if the schema has no time. */
  readonly times?: Omit<ClickTimes, "values"> | undefined;
  /** The smallest, the largest and the mean weight of a click. Undefined if the schema has no weight. */
  readonly weights?: { readonly smallest: number; readonly largest: number; readonly mean: number } | undefined;
  /** The numbers of clicks, in schema order. Undefined if the schema has none. */
  readonly clickNumbers?: readonly ClickNumberSummary[] | undefined;
  /** Tokens that may mean a missing value, such as "none". The schema's `missing` defines which tokens do. */
  readonly suspects: readonly { readonly feature: string; readonly token: string; readonly count: number }[];
  readonly report: LogReport;
  /** Number of items that a table of items has but no click names. The vocabulary has them at its end, with count 0. */
  readonly newItems: number;
  /** Number of users in the test log, `test.tsv` in the folder. Undefined if nothing was held out. */
  readonly testUsers?: number | undefined;
  /** What the dataset grew by. Undefined without `from`. */
  readonly growth?: Growth | undefined;
}

/** What a dataset says of a number of its clicks. */
export interface ClickNumberSummary extends NumberStatistics {
  readonly name: string;
  /** The smallest and the largest number; NaN if no click has one. */
  readonly smallest: number;
  readonly largest: number;
  /** Number of clicks without one. */
  readonly missing: number;
}

/** What was left out while a dataset was prepared, and how much was left. */
export interface Preparation {
  /** Number of usable lines of the logs, or of users in a table of events. */
  readonly lines: number;
  /** Number of lines or rows that were skipped because they could not be read. */
  readonly skipped: number;
  /** Number of lines without a click. */
  readonly withoutClicks: number;
  /** Number of lines that were joined to an earlier line of the same user. */
  readonly joinedLines: number;
  /** Number of users with a single click, who have no click to predict from an earlier one. */
  readonly singleClickUsers: number;
  /** Number of users in the test log. Undefined if nothing was held out. */
  readonly testUsers?: number | undefined;
  /** How many values of each feature got an id. Of a dataset that grew, those of the new clicks alone. */
  readonly features: readonly FeatureCounts[];
  /** What the dataset grew by. Undefined if it was prepared from logs or tables alone. */
  readonly growth?: Growth | undefined;
}

/** A dataset folder in memory. */
export interface Dataset extends Encoding {
  /** The folder that it was read from. */
  readonly folder: string;
  /** The id of the folder. Undefined in folders of older versions. */
  readonly id?: string | undefined;
  /** From which dataset it grew, and how often. Undefined if it was prepared from logs or tables alone. */
  readonly grown?: Grown | undefined;
  /**
   * [users] How many of each user's clicks the dataset had before it grew. These clicks come first; the others are new.
   * Undefined if it never grew.
   */
  readonly knownClicks?: Int32Array | undefined;
  /** When items and users had their last click. Undefined if it never grew. */
  readonly lastGrowths?: LastGrowths | undefined;
  /** The limit of each feature: values that appeared more often have an id of their own. */
  readonly appearLimits: Readonly<Record<string, number>>;
  /** Base name and number of lines of each log that the dataset was prepared from. */
  readonly logs: LogReport["files"];
  /** What was left out while the dataset was prepared. Undefined if an older version prepared it. */
  readonly preparation?: Preparation | undefined;
  /** The users and clicks as ids. */
  readonly clicks: Clicks;
  /**
   * Number of new items: those at the end of the item vocabulary, which a table of items has but no click names.
   * Training adds them to the finished model by their attributes, as `extendModel` does.
   */
  readonly newItems: number;
  /**
   * The attributes of every item, in schema order: `ids` [items], or `ids` [values] and `offsets` [items + 1].
   * Undefined if every item has clicks, which tell them.
   */
  readonly catalogue?: readonly ItemValues[] | undefined;
  /** Titles of the items, for people to read. Undefined if there are none. */
  readonly titles?: Titles | undefined;
}

/** How a dataset came from others. */
export interface Grown {
  /** The id of the dataset that new clicks were added to. Undefined if that folder had none. */
  readonly from?: string | undefined;
  /** How often clicks were added since the first dataset was prepared. */
  readonly updates: number;
  /** Whether items or users were ever dropped, so that ids are not those of the first dataset. */
  readonly evicted?: true | undefined;
}

/** The attributes of every item of a dataset. Those of an item with clicks are as of the last one. */
export function catalogueOf(dataset: Dataset): readonly ItemValues[] {
  return dataset.catalogue ?? itemAttributes(dataset.clicks, itemVocabulary(dataset).size);
}

/** The dataset without its new items: what a network is trained on. */
export function withoutNewItems(dataset: Dataset): Dataset {
  const { schema, vocabularies, newItems, titles, catalogue } = dataset;
  if (newItems === 0) return dataset;
  const items = itemVocabulary(dataset).size - newItems;
  return {
    ...dataset,
    vocabularies: new Map(vocabularies).set(schema.click[0]!.name, itemVocabulary(dataset).first(items)),
    newItems: 0,
    catalogue: catalogue && sliceItems(catalogue, 0, items),
    titles: titles?.first(items),
  };
}

/** The content of dataset.json. */
interface Description extends MemberIds {
  readonly schema: Schema;
  /** The limit of each feature. Version 1 wrote one number for all features. */
  readonly appear_limits: Readonly<Record<string, number>> | number;
  readonly max_line_bytes?: number | undefined;
  readonly users: number;
  readonly clicks: number;
  readonly numbers: Readonly<Record<string, { readonly mean: number; readonly standard_deviation: number }>>;
  readonly logs: LogReport["files"];
  /** Absent in folders of older versions. */
  readonly preparation?: Preparation | undefined;
  /** Number of new items; absent if there are none. */
  readonly new_items?: number | undefined;
  /** Absent unless clicks were added to an earlier dataset. */
  readonly grown?: Grown | undefined;
}

/**
 * Prepares a dataset folder from click logs: `dataset.json`, `vocabulary/<feature>.tsv` and `clicks.safetensors`. The
 * folder appears only when it is complete. Values are counted once per line for user features, and once per click or
 * value for item features (docs/math.md#vocabulary-and-noise). Throws ERR_LOG if a log cannot be read or changes while
 * it is read, ERR_VOCABULARY if no item is frequent enough, ERR_DATASET if the output folder holds
 * anything but a dataset or nothing can be held out, and ERR_BUSY if another process is writing it.
 */
export async function prepareDataset(options: PrepareOptions): Promise<PreparedDataset> {
  checkOptions("prepareDataset", options, PREPARE_OPTIONS);
  const { logs, output, featureAppearLimit = "auto", repeatUsers = "join", holdOut, onWarning, signal } = options;
  checkLogs("logs", logs);
  checkPath("output", output);
  checkGrowth(options, ["schema", "featureAppearLimit", "repeatUsers", "holdOut"]);
  signal?.throwIfAborted();
  const from = await openToGrow(options.from, signal);
  const schema = from?.schema ?? parseSchema(options.schema ?? DEFAULT_SCHEMA);
  checkAppearLimit(featureAppearLimit, vocabularyNames(schema));
  checkChoice("repeatUsers", repeatUsers, ["join", "keep"]);
  checkHoldOut(holdOut);
  const name = logs.map((log) => sourceOf(log).name).join(", ");
  checkTimesToSplit(holdOut, timeField(schema) >= 0, name);
  return withDatasetFolder(output, async (folder) => {
    // What is held out does not count: all values have ids until it is left out.
    const limit = holdOut === undefined && from === undefined ? featureAppearLimit : 0;
    const maxLineBytes = options.maxLineBytes ?? from?.maxLineBytes;
    const { contents, userIds } = await readContents(folder, name, schema, limit, { ...options, maxLineBytes });
    if (from) return writeDataset(folder, growContents(from, contents, options), { onWarning, signal });
    const kept =
      holdOut === undefined
        ? contents
        : await holdClicksOut(folder, contents, { holdOut, limit: featureAppearLimit, userIds, name });
    return writeDataset(folder, kept, { onWarning, signal });
  });
}

/** Reads the logs of a dataset. Also returns the users' identities if they are needed and no feature. */
async function readContents(
  folder: string,
  name: string,
  schema: Schema,
  limit: AppearLimit,
  { repeatUsers = "join", maxLineBytes = DEFAULT_MAX_LINE_BYTES, ...options }: PrepareOptions,
): Promise<{ readonly contents: DatasetContents; readonly userIds: readonly string[] | undefined }> {
  const sources = options.logs.map(sourceOf);
  const read = { ...options, schema, limit, maxLineBytes };
  const { encoding, features, report, rows, users, userIds } =
    (await readOnce(sources, read)) ?? (await readTwice(sources, read, join(folder, COPIES), name));
  const isJoined = users !== undefined && repeatUsers === "join";
  const clicks = isJoined ? joinUsers(rows, users) : rows;
  if (users) options.onWarning?.(doubtOfRepeats(rows, users.users, isJoined));
  checkNoSequences(clicks, itemVocabulary(encoding), sources[0]!.name);
  const joinedLines = report.lines - clicks.users;
  return {
    contents: { encoding: { ...encoding, maxLineBytes }, clicks, features, report, joinedLines },
    userIds: userIds && isJoined ? identitiesOf(userIds, users) : userIds,
  };
}

/** Options of `readOnce` and `readTwice`. */
type ReadOptions = Omit<PrepareOptions, "logs" | "output"> & {
  readonly schema: Schema;
  readonly limit: AppearLimit;
  readonly maxLineBytes: number;
};

/** Everything that was read of logs. */
interface ReadLogs {
  readonly encoding: Encoding;
  readonly features: readonly FeatureCounts[];
  readonly report: LogReport;
  readonly rows: Clicks;
  /** The rows of each user, if several rows have the same user id. */
  readonly users: RowsOfUsers | undefined;
  /** [rows] The users' identities. Undefined if they are not needed. */
  readonly userIds: readonly string[] | undefined;
}

/** Reads click logs in C++. Returns undefined if that is impossible. */
async function readOnce(
  sources: readonly LogSource[],
  { progress, limit, holdOut, ...options }: ReadOptions,
): Promise<ReadLogs | undefined> {
  const logs = await ingestLogs(sources, { ...options, progress: progress && ((...bytes) => progress(1, ...bytes)) });
  if (!logs) return undefined;
  const { schema } = options;
  const item = itemFeatures(schema)[0]!.name;
  const ofUsers = new Set(userFeatures(schema).map(({ name }) => name));
  const features = logs.features.map(({ name, multiple, counts }) => {
    const unit = multiple ? "uses" : ofUsers.has(name) ? "lines" : "clicks";
    return featureCountsOf(name, unit, counts, appearLimitOf(limit, name, counts, name === item));
  });
  const limits = new Map(features.map(({ name, appearLimit }) => [name, appearLimit]));
  const users = await logs.users();
  const userIds = holdOut && (await logs.userIds());
  const { vocabularies, numbers, clicks: rows } = await logs.encode(limits);
  const { counts } = logs.features.find(({ name }) => name === item)!;
  checkItems(vocabularies.get(item)!, item, counts, limits.get(item)!);
  return { encoding: { schema, vocabularies, numbers }, features, report: logs.report, rows, users, userIds };
}

/**
 * Reads logs of any kind. The first pass counts the values, the second one encodes them. `copies` is a folder to make for
 * logs that can be read only once; `name` is that of the logs in messages.
 */
async function readTwice(
  sources: readonly LogSource[],
  { schema, limit, progress, onBadLine, maxLineBytes, onWarning, signal }: ReadOptions,
  copies: string,
  name: string,
): Promise<ReadLogs> {
  await mkdir(copies);
  const logOptions = (pass: 1 | 2) => ({
    ...{ onBadLine, maxLineBytes, copies, signal },
    progress: progress && ((bytes: number, totalBytes: number) => progress(pass, bytes, totalBytes)),
  });
  const counts = new LogCounts(schema);
  const report = await readLog(sources, { ...logOptions(1), schema, onWarning }, (line) => counts.add(line));
  const features = counts.features(limit);
  const encoding = counts.encoding(features);
  const expected: ExpectedSizes = { lines: report.lines, clicks: report.clicks, values: counts.values };
  const owners = counts.repeatsUsers ? new RowOwners() : undefined;
  const onRow = owners && (({ userId }: LogRow) => owners.add(userId ?? null));
  const read = await encodeRows(sources, encoding, { ...logOptions(2), expected, onRow });
  await rm(copies, { recursive: true });
  if (read.report.lines !== report.lines || read.report.clicks !== report.clicks) {
    throw new ShortlistError("ERR_LOG", `${name}: The log changed while it was read: prepare it again`);
  }
  return { encoding, features, report, rows: read.clicks, users: owners?.rows(), userIds: read.userIds };
}

/** The content of a dataset folder to write. */
export interface DatasetContents {
  readonly encoding: Encoding;
  readonly clicks: Clicks;
  readonly features: readonly FeatureCounts[];
  readonly report: LogReport;
  /** Number of lines that were joined to an earlier line of the same user (default 0). */
  readonly joinedLines?: number | undefined;
  /** Number of lines of the test log that is in the folder already. */
  readonly testUsers?: number | undefined;
  /** Number of items at the end of the item vocabulary that have no click (default 0). */
  readonly newItems?: number | undefined;
  /** The attributes of all items, if some have no click. */
  readonly catalogue?: readonly ItemValues[] | undefined;
  /** Titles of all items. */
  readonly titles?: Titles | undefined;
  /** [users] How many of each user's clicks are those of the dataset that it grew from. */
  readonly knownClicks?: Int32Array | undefined;
  readonly lastGrowths?: LastGrowths | undefined;
  readonly grown?: Grown | undefined;
  readonly growth?: Growth | undefined;
}

/** Calls `write` with a staging folder, which then replaces the dataset at `output`. */
export function withDatasetFolder<T>(output: string, write: (folder: string) => Promise<T>): Promise<T> {
  return withOutputFolder(output, DATASET, (target) => replaceFolder(target, DATASET, write));
}

/** Writes the members of a dataset to its folder, and warns about what looks unintended. */
export async function writeDataset(
  folder: string,
  contents: DatasetContents,
  { onWarning, signal }: Pick<LogOptions, "onWarning" | "signal">,
): Promise<PreparedDataset> {
  const {
    encoding,
    clicks,
    features,
    report,
    joinedLines = 0,
    testUsers,
    newItems = 0,
    grown,
    knownClicks,
    lastGrowths,
  } = contents;
  const { schema } = encoding;
  if (clicks.weights?.mean === 0) {
    throw new ShortlistError(
      "ERR_DATASET",
      `Expected a weight above 0 but all ${clicks.clicks} clicks have the weight 0`,
    );
  }
  const description = {
    schema,
    appear_limits: Object.fromEntries(features.map(({ name, appearLimit }) => [name, appearLimit])),
    max_line_bytes: encoding.maxLineBytes,
    users: clicks.users,
    clicks: clicks.clicks,
    numbers: Object.fromEntries(
      [...clicks.numbers, ...(clicks.clickNumbers ?? [])].map(({ name, mean, standardDeviation }) => [
        name,
        { mean, standard_deviation: standardDeviation },
      ]),
    ),
    ...(newItems > 0 && { new_items: newItems }),
    ...(grown && { grown }),
  };
  await mkdir(join(folder, VOCABULARY));
  for (const [name, vocabulary] of encoding.vocabularies) {
    await vocabulary.write(join(folder, vocabularyFile(name)), { signal });
  }
  await contents.titles?.write(join(folder, TITLES));
  const files = [
    ...[...encoding.vocabularies.keys()].map(vocabularyFile),
    ...(testUsers === undefined ? [] : [TEST_LOG]),
    ...(contents.titles ? [TITLES] : []),
  ];
  const members = await digestsOf(folder, files, signal);
  // The id does not depend on the names of the logs: the same events make the same dataset in whatever form they came.
  const hash = createHash("sha256").update(JSON.stringify({ ...description, members }));
  const tensors = [
    ...clickTensors(clicks, schema),
    ...catalogueTensors(contents.catalogue ?? []),
    ...(knownClicks ? [int32Tensor(KNOWN_CLICKS, knownClicks)] : []),
    ...(lastGrowths
      ? [int32Tensor(LAST_GROWTHS.items, lastGrowths.items), int32Tensor(LAST_GROWTHS.users, lastGrowths.users)]
      : []),
  ];
  const id = await writeSafetensors(join(folder, CLICKS), tensors, {}, hash, signal);
  const { name: format, version } = DATASET_FORMAT;
  const preparation = preparationOf(contents);
  const whole = { format, version, id, members, ...description, logs: report.files, preparation };
  await replaceFile(join(folder, DESCRIPTION), (file) => file.writeFile(formatJson(whole)));
  for (const doubt of doubtsOf(clicks, features)) onWarning?.(doubt);
  signal?.throwIfAborted();
  return {
    users: clicks.users,
    joinedLines,
    clicks: clicks.clicks,
    vocabularySizes: Object.fromEntries([...encoding.vocabularies].map(([name, { size }]) => [name, size])),
    features,
    singleClickUsers: preparation.singleClickUsers,
    ...(clicks.times && { times: rangeOf(clicks.times) }),
    ...(clicks.weights && { weights: summaryOf(clicks.weights) }),
    ...(clicks.clickNumbers && { clickNumbers: clicks.clickNumbers.map(summaryOfNumbers) }),
    suspects: suspectsOf(encoding),
    report,
    newItems,
    ...(testUsers !== undefined && { testUsers }),
    ...(contents.growth && { growth: contents.growth }),
  };
}

function preparationOf({ clicks, features, report, joinedLines = 0, testUsers, growth }: DatasetContents): Preparation {
  const { lines, skipped, withoutClicks } = report;
  return {
    ...{ lines, skipped, withoutClicks, joinedLines },
    singleClickUsers: singleClickUsers(clicks),
    ...(testUsers !== undefined && { testUsers }),
    features,
    ...(growth && { growth }),
  };
}

function rangeOf({ earliest, latest, farOff }: ClickTimes): PreparedDataset["times"] {
  return { earliest, latest, farOff };
}

function summaryOf({ values, mean }: ClickWeights): PreparedDataset["weights"] {
  let [smallest, largest] = [Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < values.length; i++) {
    smallest = Math.min(smallest, values[i]!);
    largest = Math.max(largest, values[i]!);
  }
  return { smallest, largest, mean };
}

function summaryOfNumbers({ name, values, mean, standardDeviation }: NumberValues): ClickNumberSummary {
  let [smallest, largest, missing] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const value of values) {
    if (value < smallest) smallest = value;
    if (value > largest) largest = value;
    if (Number.isNaN(value)) missing++;
  }
  if (missing === values.length) [smallest, largest] = [Number.NaN, Number.NaN];
  return { name, mean, standardDeviation, smallest, largest, missing };
}

/** The tokens of all vocabularies that look like words for a missing value. */
function suspectsOf({ vocabularies }: Encoding): PreparedDataset["suspects"] {
  const words = [...DEFAULT_MISSING, "-", "--", "?", "n.a.", "empty", "missing", "unknown"];
  const lowerCase = [...new Set(words.map((word) => word.toLowerCase()))];
  return [...vocabularies].flatMap(([feature, vocabulary]) => {
    const ids = vocabulary.idsOfWords(lowerCase);
    const counts = ids.length > 0 ? vocabulary.counts : new Float64Array();
    return ids.map((id) => ({ feature, token: vocabulary.token(id), count: counts[id]! }));
  });
}

/** Options of `openDataset`. */
export interface OpenDatasetOptions {
  /** Stops the reading, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Opens a dataset folder and checks all of it. Throws ERR_DATASET or ERR_VOCABULARY if anything does not fit. */
export async function openDataset(folder: string, options: OpenDatasetOptions = {}): Promise<Dataset> {
  checkOptions("openDataset", options, { signal: true } satisfies Record<keyof OpenDatasetOptions, true>);
  checkPath("folder", folder);
  const { signal } = options;
  return readFolder(folder, DESCRIPTION, (members) => readDataset(folder, members, signal), signal);
}

/** Opens the dataset that is to grow, if there is one, and checks that it can. */
export async function openToGrow(
  folder: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Dataset | undefined> {
  const dataset = folder === undefined ? undefined : await openDataset(folder, { signal });
  if (dataset) checkGrowable(dataset);
  return dataset;
}

/** Returns the path of the log of the clicks that were held out of a dataset folder; undefined if none were. */
export async function testLogOf(folder: string, options: OpenDatasetOptions = {}): Promise<string | undefined> {
  checkOptions("testLogOf", options, { signal: true } satisfies Record<keyof OpenDatasetOptions, true>);
  checkPath("folder", folder);
  const { signal } = options;
  const find = async (members: FolderReader) => {
    members.expect(await readDescription(folder, members), "ERR_DATASET");
    return members.has(TEST_LOG) ? members.path(TEST_LOG) : undefined;
  };
  return readFolder(folder, DESCRIPTION, find, signal);
}

async function readDataset(folder: string, members: FolderReader, signal: AbortSignal | undefined): Promise<Dataset> {
  const description = await readDescription(folder, members);
  members.expect(description, "ERR_DATASET");
  const { schema } = description;
  const vocabularies = new Map<string, Vocabulary>();
  const turns = new Turns(signal);
  for (const name of vocabularyNames(schema)) {
    signal?.throwIfAborted();
    vocabularies.set(name, await readVocabulary(members, vocabularyFile(name), turns, "no-index"));
  }
  const numbers = new Map<string, NumberStatistics>();
  for (const name of numberNames(schema)) {
    const { mean, standard_deviation: standardDeviation } = description.numbers?.[name] ?? {};
    if (!Number.isFinite(mean) || !((standardDeviation ?? -1) >= 0)) {
      fail(folder, `${DESCRIPTION} has no mean and standard_deviation of "${name}"`);
    }
    numbers.set(name, { mean: mean!, standardDeviation: standardDeviation! });
  }
  const path = members.path(CLICKS);
  const source = members.source(CLICKS);
  const { tensors, metadata } = await readSafetensors(path, "ERR_DATASET", source, signal).catch((error) => {
    if (!(error instanceof ShortlistError)) throw error;
    throw new ShortlistError("ERR_DATASET", `${error.message}. ${WAY_OUT}`, { cause: error });
  });
  members.checkId(CLICKS, metadata);
  const encoding = { schema, vocabularies, numbers, maxLineBytes: description.max_line_bytes };
  const clicks = readClicks(path, tensors, encoding, description);
  const items = itemVocabulary(encoding).size;
  const newItems = newItemsOf(folder, description, items);
  const catalogue = parseCatalogue(encoding, tensors, (problem) => fail(path, problem));
  const grown = grownOf(folder, description);
  if (newItems > 0 && !catalogue) fail(path, "There are no attributes of the new items");
  return {
    ...encoding,
    folder,
    id: description.id as string | undefined,
    ...(grown && {
      ...{ grown, knownClicks: readKnownClicks(path, tensors, clicks) },
      lastGrowths: {
        items: readCounts(path, tensors, LAST_GROWTHS.items, items),
        users: readCounts(path, tensors, LAST_GROWTHS.users, clicks.users),
      },
    }),
    appearLimits: appearLimitsOf(description),
    logs: description.logs,
    preparation: description.preparation,
    clicks,
    newItems,
    catalogue,
    titles: await readTitles(members, items, turns),
  };
}

function newItemsOf(folder: string, { new_items: newItems = 0 }: Description, items: number): number {
  if (Number.isSafeInteger(newItems) && newItems >= 0 && newItems < items - 1) return newItems;
  return fail(folder, `${DESCRIPTION} has an impossible number of new_items, ${newItems}`);
}

function grownOf(folder: string, { grown }: Description): Grown | undefined {
  if (grown === undefined) return undefined;
  const { from, updates } = grown ?? {};
  if (Number.isSafeInteger(updates) && updates > 0 && (from === undefined || typeof from === "string")) return grown;
  return fail(folder, `${DESCRIPTION} has an impossible member "grown", ${JSON.stringify(grown)}`);
}

function readCounts(
  path: string,
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  name: string,
  length: number,
): Int32Array {
  const counts = tensors.get(name)?.data;
  if (counts instanceof Int32Array && counts.length === length) return counts;
  return fail(path, `There is no int32 array "${name}" of ${length} elements`);
}

function readKnownClicks(
  path: string,
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  { users, clickOffsets }: Clicks,
): Int32Array {
  const known = readCounts(path, tensors, KNOWN_CLICKS, users);
  const wrong = known.findIndex((count, user) => count < 0 || count > clickOffsets[user + 1]! - clickOffsets[user]!);
  if (wrong < 0) return known;
  return fail(path, `Expected "${KNOWN_CLICKS}" up to the user's clicks but element ${wrong} is ${known[wrong]}`);
}

function appearLimitsOf({ schema, appear_limits: limits }: Description): Dataset["appearLimits"] {
  if (typeof limits !== "number") return limits;
  return Object.fromEntries(vocabularyNames(schema).map((name) => [name, limits]));
}

const WAY_OUT = "Prepare the dataset again from its logs";

function fail(folder: string, problem: string): never {
  throw new ShortlistError("ERR_DATASET", `${folder}: ${problem}. ${WAY_OUT}`);
}

/** The kind of folder that `prepareDataset` writes. */
export const DATASET: FolderKind = {
  name: "dataset",
  code: "ERR_DATASET",
  owns: (name) => [DESCRIPTION, VOCABULARY, CLICKS, TITLES, TEST_LOG].includes(name),
  description: DESCRIPTION,
};

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function readDescription(folder: string, members: FolderReader): Promise<Description> {
  const json = await readJson(members.source(DESCRIPTION)).catch(async (error) => {
    const is = await stat(folder).catch(() => undefined);
    const problem = !is
      ? "There is no such folder"
      : !is.isDirectory()
        ? "It is a file, not a dataset folder"
        : hasCode(error, "ENOENT")
          ? `The folder is not a dataset: it has no ${DESCRIPTION}`
          : `Cannot read ${DESCRIPTION}: ${(error as Error).message}`;
    throw new ShortlistError("ERR_DATASET", `${folder}: ${problem}. Make a dataset from click logs first`);
  });
  if (!json) return fail(folder, `${DESCRIPTION} is not a JSON object`);
  const description = migrate(json, DATASET_FORMAT, join(folder, DESCRIPTION)) as unknown as Description;
  if (!isMaxLineBytes(description.max_line_bytes)) fail(folder, `${DESCRIPTION} has an impossible max_line_bytes`);
  try {
    return { ...description, schema: parseStoredSchema(description.schema, DESCRIPTION, "ERR_DATASET") };
  } catch (error) {
    return fail(folder, (error as Error).message);
  }
}

/** The first pass over the logs: counts the values of each feature, and computes the statistics of number features. */
class LogCounts {
  readonly #schema: Schema;
  readonly #itemFeatures: readonly ItemFeature[];
  readonly #users: (UserFeature & { readonly counts: TokenCounts })[];
  readonly #searches: (UserFeature & { readonly counts: TokenCounts })[];
  readonly #items: { name: string; counts: TokenCounts; values: number }[];
  readonly #numbers: readonly RunningStatistics[];
  readonly #clickNumbers: readonly RunningStatistics[];
  /** Counts of the user ids if `user_id` is not a feature with counts. Undefined otherwise. */
  readonly #identities: TokenCounts | undefined;
  /** Clicks whose fields are not yet counted, with the number of their occurrences. */
  readonly #pending = new Map<Click, number>();

  constructor(schema: Schema) {
    this.#schema = schema;
    const hasIdentities = schema.columns.some(({ name, kind }) => name === USER_ID && kind !== "categorical");
    this.#identities = hasIdentities ? new TokenCounts() : undefined;
    const counted = (feature: UserFeature) => ({ ...feature, counts: new TokenCounts() });
    this.#users = userFeaturesOf(schema, "categorical").map(counted);
    this.#searches = userFeaturesOf(schema, "tokens").map(counted);
    this.#numbers = userFeaturesOf(schema, "number").map(({ name }) => new RunningStatistics(name));
    this.#clickNumbers = clickNumbers(schema).map((name) => new RunningStatistics(name));
    this.#itemFeatures = itemFeatures(schema);
    this.#items = this.#itemFeatures.map(({ name }) => ({ name, counts: new TokenCounts(), values: 0 }));
  }

  add({ userId, tokens, numbers, clicks, searches = [], clickNumbers = [] }: LogRow): void {
    this.#identities?.add(userId ?? null, 1);
    for (let f = 0; f < tokens.length; f++) {
      for (const token of valuesOf(tokens[f]!)) this.#users[f]!.counts.add(token, 1);
    }
    for (let f = 0; f < searches.length; f++) {
      for (const query of searches[f]!) for (const token of queryTokens(query)) this.#searches[f]!.counts.add(token, 1);
    }
    for (let f = 0; f < numbers.length; f++) this.#numbers[f]!.add(numbers[f]!);
    for (let f = 0; f < clickNumbers.length; f++) {
      for (const number of clickNumbers[f]!) this.#clickNumbers[f]!.add(number);
    }
    for (const click of clicks) this.#pending.set(click, (this.#pending.get(click) ?? 0) + 1);
    if (this.#pending.size > MAX_PENDING_CLICKS) this.#flush();
  }

  /** Whether several lines have the same user id. */
  get repeatsUsers(): boolean {
    const counts = this.#identities ?? this.#users.find(({ name }) => name === USER_ID)?.counts;
    return (counts?.highest ?? 0) > 1;
  }

  /** Number of values of each item feature. */
  get values(): ReadonlyMap<string, number> {
    this.#flush();
    return new Map(this.#items.map(({ name, values }) => [name, values]));
  }

  /** Returns the encoding, with the limits of `features`, which `features()` returned. */
  encoding(features: readonly FeatureCounts[]): Encoding {
    this.#flush();
    const limits = new Map(features.map(({ name, appearLimit }) => [name, appearLimit]));
    const vocabularies = new Map<string, Vocabulary>();
    for (const { name, counts } of [...this.#userCounts(), ...this.#items]) {
      vocabularies.set(name, Vocabulary.fromCounts(counts, limits.get(name)!));
    }
    const item = this.#items[0]!;
    checkItems(vocabularies.get(item.name)!, item.name, item.counts, limits.get(item.name)!);
    const numbers = new Map([...this.#numbers, ...this.#clickNumbers].map((number) => [number.name, number.take()]));
    return { schema: this.#schema, vocabularies, numbers };
  }

  features(featureAppearLimit: AppearLimit): FeatureCounts[] {
    this.#flush();
    const countsOf = (name: string, unit: FeatureCounts["unit"], counts: TokenCounts): FeatureCounts => {
      const appearLimit = appearLimitOf(featureAppearLimit, name, counts, name === this.#items[0]!.name);
      return featureCountsOf(name, unit, counts, appearLimit);
    };
    return [
      ...this.#userCounts().map(({ name, kind, multiple, counts }) =>
        countsOf(name, kind === "tokens" ? "tokens" : multiple ? "uses" : "lines", counts),
      ),
      ...this.#items.map(({ name, counts }, f) =>
        countsOf(name, this.#itemFeatures[f]!.multiple ? "uses" : "clicks", counts),
      ),
    ];
  }

  /** The user features that have a vocabulary, in schema order. */
  #userCounts() {
    return [...this.#users, ...this.#searches].sort((a, b) => a.column - b.column);
  }

  #flush(): void {
    for (const [click, times] of this.#pending) {
      for (let f = 0; f < click.length; f++) {
        const item = this.#items[f]!;
        const tokens = valuesOf(click[f]!);
        for (const token of tokens) item.counts.add(token, times);
        item.values += tokens.length * times;
      }
    }
    this.#pending.clear();
  }
}

/** Statistics of a number feature while its values are read, as `statisticsOf` has them. */
class RunningStatistics {
  readonly name: string;
  #count = 0;
  #mean = 0;
  #squares = 0;

  constructor(name: string) {
    this.name = name;
  }

  add(number: number): void {
    const value = Math.fround(number);
    if (Number.isNaN(value)) return;
    // Welford 1962: avoids the cancellation of a sum of squares.
    const delta = value - this.#mean;
    this.#mean += delta / ++this.#count;
    this.#squares += delta * (value - this.#mean);
  }

  take(): NumberStatistics {
    return { mean: this.#mean, standardDeviation: this.#count > 0 ? Math.sqrt(this.#squares / this.#count) : 0 };
  }
}

/** The values of a field or column, whether it may have several or not. */
function valuesOf(value: Token | readonly Token[]): readonly Token[] {
  return typeof value === "object" && value !== null ? value : [value];
}

function int32Tensor(name: string, data: Int32Array): TensorToWrite {
  return { name, dtype: "int32", shape: [data.length], data };
}

function clickTensors(clicks: Clicks, schema: Schema): TensorToWrite[] {
  const tensor = (name: string, data: Int32Array | Float32Array | Float64Array): TensorToWrite => ({
    name,
    dtype: data instanceof Float32Array ? "float32" : data instanceof Float64Array ? "float64" : "int32",
    shape: [data.length],
    data,
  });
  const { times, weights } = clicks;
  const valueTensors = ({ name, ids, offsets }: UserValues) =>
    offsets ? [tensor(name, ids), tensor(`${name}_offsets`, offsets)] : [tensor(name, ids)];
  return [
    // The times come first, so that their 8-byte elements are aligned.
    ...(times ? [tensor(schema.click[timeField(schema)]!.name, times.values)] : []),
    tensor("click_offsets", clicks.clickOffsets),
    ...clicks.userFeatures.flatMap(valueTensors),
    ...clicks.numbers.map(({ name, values }) => tensor(name, values)),
    ...clicks.itemFeatures.flatMap(valueTensors),
    ...(weights ? [tensor(weights.name, weights.values)] : []),
    ...(clicks.clickNumbers ?? []).map(({ name, values }) => tensor(name, values)),
    ...(clicks.searches ?? []).flatMap(({ name, queryOffsets, offsets, ids, before }) => [
      tensor(name, ids),
      tensor(`${name}_offsets`, offsets),
      tensor(`${name}_queries`, queryOffsets),
      ...(before ? [tensor(`${name}_before`, before)] : []),
    ]),
  ];
}

/**
 * Checks the arrays of clicks.safetensors: all must be present with the right length, and ids must be below the size of
 * their vocabulary.
 */
function readClicks(
  path: string,
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  { schema, vocabularies, numbers }: Encoding,
  { users, clicks }: Description,
): Clicks {
  if (![users, clicks].every((count) => Number.isSafeInteger(count) && count > 0)) {
    fail(path, `Expected users and clicks above 0 in ${DESCRIPTION} but received ${users} and ${clicks}`);
  }
  const arrays = new ClickArrays(path, tensors, vocabularies);
  const valuesFor = (owners: number, { name, multiple }: Pick<ItemFeature, "name" | "multiple">) => {
    const ids = arrays.ids(name, multiple ? undefined : owners);
    return { name, ids, offsets: multiple ? arrays.offsets(`${name}_offsets`, owners, ids.length) : undefined };
  };
  const clickOffsets = arrays.offsets("click_offsets", users, clicks);
  const searches = userFeaturesOf(schema, "tokens").map(({ name }) => arrays.searches(name, clickOffsets));
  const [time, weight] = [schema.click[timeField(schema)], schema.click[weightField(schema)]];
  const numbersFor = (owners: number, name: string) => ({
    ...{ name, values: arrays.numbers(name, owners), ...numbers.get(name)! },
  });
  const ofClicks = clickNumbers(schema);
  return {
    users,
    clicks,
    clickOffsets,
    userFeatures: userFeaturesOf(schema, "categorical").map((feature) => {
      const { name, ids, offsets } = valuesFor(users, feature);
      return { name, ids, ...(offsets && { offsets }) };
    }),
    numbers: userFeaturesOf(schema, "number").map(({ name }) => numbersFor(users, name)),
    itemFeatures: itemFeatures(schema).map((feature) => valuesFor(clicks, feature)),
    ...(searches.length > 0 && { searches }),
    ...(time && { times: arrays.times(time.name, clicks) }),
    ...(weight && { weights: arrays.weights(weight.name, clicks) }),
    ...(ofClicks.length > 0 && { clickNumbers: ofClicks.map((name) => numbersFor(clicks, name)) }),
  };
}

/** The arrays of clicks.safetensors, each checked as it is read. */
class ClickArrays {
  readonly #path: string;
  readonly #tensors: ReadonlyMap<string, SafetensorsTensor>;
  readonly #vocabularies: ReadonlyMap<string, Vocabulary>;

  constructor(
    path: string,
    tensors: ReadonlyMap<string, SafetensorsTensor>,
    vocabularies: ReadonlyMap<string, Vocabulary>,
  ) {
    this.#path = path;
    this.#tensors = tensors;
    this.#vocabularies = vocabularies;
  }

  #integers(name: string, length: number | undefined): Int32Array {
    const data = this.#tensors.get(name)?.data;
    if (!(data instanceof Int32Array)) return fail(this.#path, `There is no int32 array "${name}"`);
    if (length !== undefined && data.length !== length) {
      fail(this.#path, `Expected ${length} elements of "${name}" but received ${data.length}`);
    }
    return data;
  }

  /** Ids of a vocabulary. */
  ids(name: string, length: number | undefined): Int32Array {
    const ids = this.#integers(name, length);
    const { size } = this.#vocabularies.get(name)!;
    for (let i = 0; i < ids.length; i++) {
      if (ids[i]! < 0 || ids[i]! >= size) {
        fail(this.#path, `Expected ids of "${name}" from 0 to ${size - 1} but element ${i} is ${ids[i]}`);
      }
    }
    return ids;
  }

  /** Offsets that rise strictly from 0 to `end`, so that each group has at least one element. */
  offsets(name: string, groups: number, end: number): Int32Array {
    const offsets = this.#integers(name, groups + 1);
    for (let g = 0; g < groups; g++) {
      if (offsets[g + 1]! <= offsets[g]!) fail(this.#path, `Expected "${name}" to rise but element ${g + 1} does not`);
    }
    if (offsets[0] !== 0 || offsets[groups] !== end) fail(this.#path, `Expected "${name}" to run from 0 to ${end}`);
    return offsets;
  }

  /** Offsets that rise from 0 to `end`, so that groups may be empty. */
  #emptyGroups(name: string, groups: number | undefined, end: number): Int32Array {
    const offsets = this.#integers(name, groups === undefined ? undefined : groups + 1);
    const fall = offsets.findIndex((offset, g) => g > 0 && offset < offsets[g - 1]!);
    if (fall >= 0) fail(this.#path, `Expected "${name}" to rise but element ${fall} falls`);
    if (offsets[0] !== 0 || offsets.at(-1) !== end) fail(this.#path, `Expected "${name}" to run from 0 to ${end}`);
    return offsets;
  }

  searches(name: string, clickOffsets: Int32Array): Searches {
    const ids = this.ids(name, undefined);
    const offsets = this.#emptyGroups(`${name}_offsets`, undefined, ids.length);
    const users = clickOffsets.length - 1;
    const queryOffsets = this.#emptyGroups(`${name}_queries`, users, offsets.length - 1);
    if (!this.#tensors.has(`${name}_before`)) return { name, queryOffsets, offsets, ids };
    const before = this.#integers(`${name}_before`, clickOffsets[users]);
    for (let user = 0; user < users; user++) {
      const queries = queryOffsets[user + 1]! - queryOffsets[user]!;
      let least = 0;
      for (let click = clickOffsets[user]!; click < clickOffsets[user + 1]!; click++) {
        if (before[click]! < least || before[click]! > queries) {
          fail(
            this.#path,
            `Expected "${name}_before" to rise up to ${queries} but element ${click} is ${before[click]}`,
          );
        }
        least = before[click]!;
      }
    }
    return { name, queryOffsets, offsets, ids, before };
  }

  numbers(name: string, length: number): Float32Array {
    const values = this.#tensors.get(name)?.data;
    if (values instanceof Float32Array && values.length === length) return values;
    return fail(this.#path, `There is no float32 array "${name}" of ${length} elements`);
  }

  weights(name: string, length: number): ClickWeights {
    const values = this.numbers(name, length);
    const wrong = values.findIndex((weight) => !(weight >= 0 && weight < Number.POSITIVE_INFINITY));
    if (wrong >= 0) {
      fail(this.#path, `Expected elements of "${name}" that are at least 0 but element ${wrong} is ${values[wrong]}`);
    }
    const weights = clickWeights(name, values);
    return weights.mean > 0 ? weights : fail(this.#path, `Expected an element of "${name}" above 0`);
  }

  times(name: string, length: number): ClickTimes {
    const values = this.#tensors.get(name)?.data;
    if (!(values instanceof Float64Array) || values.length !== length) {
      return fail(this.#path, `There is no float64 array "${name}" of ${length} elements`);
    }
    const infinite = values.findIndex((time) => Math.abs(time) === Number.POSITIVE_INFINITY);
    if (infinite >= 0) {
      fail(this.#path, `Expected finite elements of "${name}" but element ${infinite} is ${values[infinite]}`);
    }
    return clickTimes(values);
  }
}
