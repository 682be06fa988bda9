import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkChoice, checkOptions, checkPath, ShortlistError } from "../../errors.js";
import { type AppearLimit, appearLimitOf, checkAppearLimit } from "../appear_limits.js";
import type { Clicks } from "../clicks.js";
import {
  checkItems,
  type DatasetContents,
  type FeatureCounts,
  featureCountsOf,
  type PreparedDataset,
  withDatasetFolder,
  writeDataset,
} from "../dataset.js";
import { DEFAULT_MISSING, parseSchema, type Schema } from "../schema.js";
import { DEFAULT_MAX_LINE_BYTES, type LogOptions, type LogReport } from "../sources/read_log.js";
import { clickTimes } from "../times.js";
import { ValueCounts } from "../token_table.js";
import { Vocabulary } from "../vocabulary.js";
import { TableSession } from "./duckdb.js";
import { samplesOf } from "./event_columns.js";
import { type EventTable, locate, understand } from "./event_table.js";
import type { TableForm } from "./file_form.js";
import { checkWritable, cutsOf, type HoldOut, keepBefore, writeTestLog } from "./hold_out.js";
import { type LeftOut, readEvents, type SortedEvents, tokensOf } from "./read_events.js";
import { checkUnchanged } from "./table_files.js";
import { parseTableSource, type TableSource, type TimeUnit } from "./table_source.js";

/** Options of `understandTables`. */
export interface UnderstandTablesOptions {
  /** The tables and what is known of them. Everything else is found out. */
  readonly source: TableSource;
  /** A file with the content of standard input, for the path `-`. */
  readonly standardInput?: string | undefined;
  /** "fail" (default) throws ERR_TABLE at rows that cannot be read. "skip" leaves them out. */
  readonly onBadLine?: LogOptions["onBadLine"];
  /** Stops the work, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `prepareTables`. */
export interface PrepareTablesOptions extends UnderstandTablesOptions {
  /** Folder to write the dataset to. An existing dataset is replaced; a folder with anything else is refused. */
  readonly output: string;
  /** Values that appear more often than this get an id of their own; the others become `<unk>` (default "auto"). */
  readonly featureAppearLimit?: AppearLimit | undefined;
  /**
   * Events to leave out. `test.tsv` in the folder, a click log for `train --test`, then has a line for each user with
   * kept and held-out events; its target is the first event that is held out.
   */
  readonly holdOut?: HoldOut | undefined;
  /** Called with what was found out about the tables, before they are read. */
  readonly onUnderstood?: ((tables: UnderstoodTables) => void) | undefined;
  /** Called with a message if something looks wrong but does not stop the work. */
  readonly onWarning?: LogOptions["onWarning"];
}

const UNDERSTAND_OPTIONS: Readonly<Record<keyof UnderstandTablesOptions, true>> = {
  source: true,
  standardInput: true,
  onBadLine: true,
  signal: true,
};
const PREPARE_OPTIONS: Readonly<Record<keyof PrepareTablesOptions, true>> = {
  ...UNDERSTAND_OPTIONS,
  output: true,
  featureAppearLimit: true,
  holdOut: true,
  onUnderstood: true,
  onWarning: true,
};

/** What was found out about tables. */
export interface UnderstoodTables {
  /** A complete source of the same tables, for which nothing needs to be found out. */
  readonly source: TableSource;
  /** Each table with its columns, for people to read. */
  readonly tables: readonly UnderstoodTable[];
}

/** What was found out about a table. */
export interface UnderstoodTable {
  /** The files, as the source names them. */
  readonly name: string;
  /** Form of the files, in words. */
  readonly form: string;
  readonly files: number;
  /** The condition that rows must meet. */
  readonly where?: string | undefined;
  readonly columns: readonly UnderstoodColumn[];
}

/** What was found out about a column, from the first rows. */
export interface UnderstoodColumn {
  readonly name: string;
  /** The role of the column, such as "user", "item" or "time in milliseconds". Undefined if the column is not used. */
  readonly meaning?: string | undefined;
  /** Up to three distinct values. */
  readonly samples: readonly string[];
  /** Fraction of rows without a value, from 0 to 1. */
  readonly missing: number;
}

/**
 * Finds out what the columns of tables mean, without writing anything. Throws ERR_TABLE if that is ambiguous, and
 * ERR_DEPENDENCY if DuckDB's package is not installed.
 */
export async function understandTables(options: UnderstandTablesOptions): Promise<UnderstoodTables> {
  checkOptions("understandTables", options, UNDERSTAND_OPTIONS);
  const source = checkCommon(options);
  const folder = await mkdtemp(join(tmpdir(), "shortlist-tables-"));
  try {
    return await TableSession.with(join(folder, "session"), options.signal, async (session) =>
      describe(source, await openTables(session, source, options)),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Prepares a dataset folder from a table of events: CSV, JSON lines or Parquet with one event per row. It is the same
 * dataset as that of a click log with the same events, one line per user, in the order of the user ids. The folder
 * appears only when it is complete. Throws the errors of `understandTables` and `prepareDataset`.
 */
export async function prepareTables(options: PrepareTablesOptions): Promise<PreparedDataset> {
  checkOptions("prepareTables", options, PREPARE_OPTIONS);
  const { output, featureAppearLimit = "auto", holdOut, onBadLine, onUnderstood, onWarning, signal } = options;
  checkPath("output", output);
  checkAppearLimit(featureAppearLimit, [USER, ITEM]);
  checkHoldOut(holdOut);
  const source = checkCommon(options);
  return withDatasetFolder(output, async (folder) => {
    const contents = await TableSession.with(join(folder, "tables"), signal, async (session) => {
      const events = await openTables(session, source, options);
      onUnderstood?.(describe(source, events));
      const { missing = DEFAULT_MISSING } = source;
      const sorted = await readEvents(session, events, missing, onBadLine === "skip");
      warnOfLeftOut(events, sorted.leftOut, onWarning);
      const tokens = { users: await tokensOf(session, sorted.users), items: await tokensOf(session, sorted.items) };
      checkHistories(events, sorted);
      if (holdOut === undefined) return contentsOf(events, sorted, tokens, missing, featureAppearLimit);
      const { kept, userNumbers, testUsers } = await split(folder, events, sorted, tokens, holdOut);
      const left = { ...tokens, users: Array.from(userNumbers, (user) => tokens.users[user]!) };
      return { ...contentsOf(events, kept, left, missing, featureAppearLimit), testUsers };
    });
    return writeDataset(folder, contents, { onWarning, signal });
  });
}

function checkCommon({ source, onBadLine, signal }: UnderstandTablesOptions): TableSource {
  if (onBadLine !== undefined) checkChoice("onBadLine", onBadLine, ["fail", "skip"]);
  signal?.throwIfAborted();
  const parsed = parseTableSource(source);
  if (parsed.events?.files) return parsed;
  throw new ShortlistError("ERR_OPTION", "Expected the files of a table of events but received none");
}

async function openTables(
  session: TableSession,
  { events = {} }: TableSource,
  { onBadLine, standardInput }: UnderstandTablesOptions,
): Promise<EventTable> {
  const located = await locate(session, events, standardInput);
  await session.lock(located.files.paths);
  const table = await understand(session, located, events, onBadLine === "skip");
  checkUnchanged(table.files);
  return table;
}

// ---- what people see
// --------------------------------------------------------------------------------------------------

const UNIT_NAMES: Readonly<Record<TimeUnit, string>> = {
  s: "time in seconds",
  ms: "time in milliseconds",
  us: "time in microseconds",
  ns: "time in nanoseconds",
  date: "time as a date",
  number: "time as a number",
};

function describe(source: TableSource, events: EventTable): UnderstoodTables {
  const { files, form, columns, unit, found } = events;
  const meanings = new Map<string, string>([
    [columns.user, "user"],
    [columns.item, "item"],
    ...(columns.time === null ? [] : ([[columns.time, UNIT_NAMES[unit!]]] as const)),
  ]);
  return {
    source: { version: 1, ...source, events: { ...source.events, ...form, ...columns, ...(unit && { unit }) } },
    tables: [
      {
        name: files.name,
        form: formName(form),
        files: files.paths.length,
        where: source.events?.where,
        columns: found.map((column) => ({
          name: column.name,
          meaning: meanings.get(column.name),
          samples: samplesOf(column),
          missing: column.values.filter((value) => value === null || value === "").length / column.values.length,
        })),
      },
    ],
  };
}

function formName(form: TableForm): string {
  if (form.format === "parquet") return "Parquet";
  const compression = form.compression === "none" ? "" : `, ${form.compression}`;
  if (form.format === "json") return `JSON${compression}`;
  const separator = { ",": "commas", "\t": "tabs", "\u0001": "\\u0001" }[form.separator] ?? form.separator;
  const encoding = form.encoding === "utf-8" ? "" : `, ${form.encoding}`;
  return `text with ${separator} between columns${form.header ? "" : ", without names"}${encoding}${compression}`;
}

function warnOfLeftOut(
  { files }: EventTable,
  { withoutUser, withoutItem, problems, withBadTime, badLines }: LeftOut,
  onWarning: LogOptions["onWarning"],
): void {
  if (withoutUser > 0) onWarning?.(`${files.name}: ${withoutUser} rows without a user are left out`);
  if (withoutItem > 0) onWarning?.(`${files.name}: ${withoutItem} rows without an item are left out`);
  if (withBadTime + badLines > 0) {
    onWarning?.(
      `${files.name}: ${withBadTime + badLines} rows that cannot be read are left out: ${problems.join("; ")}`,
    );
  }
}

// ---- what a dataset holds
// ---------------------------------------------------------------------------------------------

const [USER, ITEM, TIME] = ["user_id", "item", "time"];

function schemaOf({ columns }: EventTable, missing: readonly string[]): Schema {
  return parseSchema({
    columns: [{ name: USER }, { name: "clicks" }],
    click: [{ name: ITEM }, ...(columns.time === null ? [] : [{ name: TIME, kind: "time" }])],
    missing,
  });
}

/** The tokens of users and items, by number. */
interface Tokens {
  readonly users: readonly string[];
  readonly items: readonly string[];
}

function contentsOf(
  table: EventTable,
  { offsets, itemNumbers, times, leftOut }: SortedEvents,
  tokens: Tokens,
  missing: readonly string[],
  featureAppearLimit: AppearLimit,
): DatasetContents {
  const vocabularyOf = (name: string, unit: FeatureCounts["unit"], names: readonly string[], counts: Float64Array) => {
    const values = new ValueCounts(counts);
    const appearLimit = appearLimitOf(featureAppearLimit, name, values, name === ITEM);
    const made = Vocabulary.fromSorted(names, counts, 0, appearLimit);
    if (name === ITEM) checkItems(made.vocabulary, name, values, appearLimit);
    return { ...made, features: featureCountsOf(name, unit, values, appearLimit) };
  };
  const occurrences = new Float64Array(tokens.items.length);
  for (const item of itemNumbers) occurrences[item]!++;
  const item = vocabularyOf(ITEM, "clicks", tokens.items, occurrences);
  // A user corresponds to a line of a click log, and counts once.
  const user = vocabularyOf(USER, "lines", tokens.users, new Float64Array(tokens.users.length).fill(1));
  for (let event = 0; event < itemNumbers.length; event++) itemNumbers[event] = item.ids[itemNumbers[event]!]!;
  const clicks: Clicks = {
    users: tokens.users.length,
    clicks: itemNumbers.length,
    clickOffsets: offsets,
    userFeatures: [{ name: USER, ids: user.ids }],
    numbers: [],
    itemFeatures: [{ name: ITEM, ids: itemNumbers, offsets: undefined }],
    ...(times && { times: clickTimes(times) }),
  };
  const vocabularies = new Map([
    [USER, user.vocabulary],
    [ITEM, item.vocabulary],
  ]);
  return {
    encoding: {
      schema: schemaOf(table, missing),
      vocabularies,
      numbers: new Map(),
      maxLineBytes: DEFAULT_MAX_LINE_BYTES,
    },
    clicks,
    features: [user.features, item.features],
    report: reportOf(table, clicks, leftOut),
  };
}

/** Writes the test log and returns the events that are kept. */
async function split(
  folder: string,
  { files, columns }: EventTable,
  events: SortedEvents,
  tokens: Tokens,
  holdOut: HoldOut,
): Promise<{ readonly kept: SortedEvents; readonly userNumbers: Int32Array; readonly testUsers: number }> {
  if (holdOut !== "last" && columns.time === null) {
    throw new ShortlistError("ERR_TABLE", `${files.name}: Expected times to split by, but the events have none`);
  }
  const cuts = cutsOf(events, holdOut);
  const testUsers = await writeTestLog(folder, events, cuts, {
    user: (number) => checkWritable(tokens.users[number]!, /\t/),
    item: (number) => checkWritable(tokens.items[number]!, /[\t:;]/),
  });
  return { ...keepBefore(events, cuts), testUsers };
}

function checkHoldOut(holdOut: unknown): void {
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

/** Throws ERR_TABLE if no user has two events: there would be no next event to learn. */
function checkHistories({ files, columns }: EventTable, { users, itemNumbers }: SortedEvents): void {
  if (users.size < itemNumbers.length || itemNumbers.length === 1) return;
  throw new ShortlistError(
    "ERR_TABLE",
    `${files.name}: Expected several events of a user but each of the ${users.size} users in column "${columns.user}" has one row: is it a table of users, or the wrong column? Choose another with --user; where a row holds a whole sequence, make a row of each item with a query in --source (docs/data.md#sequences)`,
  );
}

function reportOf(
  { files }: EventTable,
  { users, clicks }: Clicks,
  { badLines, withBadTime, problems }: LeftOut,
): LogReport {
  const skipped = badLines + withBadTime;
  return {
    files: [{ name: files.label, lines: users, skipped }],
    lines: users,
    clicks,
    withoutClicks: 0,
    skipped,
    badLines: problems,
  };
}
