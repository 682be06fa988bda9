import { join } from "node:path";
import { checkChoice, checkOptions, checkPath, ShortlistError } from "../../errors.js";
import { type AppearLimit, checkAppearLimit } from "../appear_limits.js";
import { openToGrow, type PreparedDataset, withDatasetFolder, writeDataset } from "../dataset.js";
import { checkGrowth, type GrowthOptions, growContents } from "../grow.js";
import { checkHoldOut, checkTimesToSplit, type HoldOut, holdClicksOut } from "../hold_out.js";
import { DEFAULT_MISSING, missingWords, namesBeside, vocabularyNames } from "../schema.js";
import type { LogOptions, LogReport } from "../sources/read_log.js";
import { plainName } from "./column_names.js";
import { TableSession } from "./duckdb.js";
import { type FoundColumn, samplesOf } from "./event_columns.js";
import {
  contentsOf,
  ITEM,
  keptOccurrences,
  type ReadTables,
  SEARCHES,
  schemaOf,
  TIME,
  USER,
  WEIGHT,
  withItemTable,
} from "./event_dataset.js";
import { type EventTable, type LocatedTable, locate, understand } from "./event_table.js";
import { type Described, freeName } from "./feature_columns.js";
import {
  type FeatureRows,
  type FeatureTable,
  readFeatures,
  understandFeatures,
  warnOfRepeats,
} from "./feature_table.js";
import type { TableForm } from "./file_form.js";
import { type LeftOut, type Numbering, readEvents, type SortedEvents } from "./read_events.js";
import { readSearches, type SearchRows, type SearchTable, understandSearches } from "./search_table.js";
import { checkUnchanged } from "./table_files.js";
import {
  type FeatureTableSource,
  type GivenForm,
  parseTableSource,
  type TableSource,
  type TimeUnit,
} from "./table_source.js";
import { checkWhole } from "./whole_files.js";

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
export interface PrepareTablesOptions extends UnderstandTablesOptions, GrowthOptions {
  /** Folder to write the dataset to. An existing dataset is replaced; a folder with anything else is refused. */
  readonly output: string;
  /** Values that appear more often than this get an id of their own; the others become `<unk>` (default "auto"). */
  readonly featureAppearLimit?: AppearLimit | undefined;
  /**
   * Events to leave out. `test.tsv` in the folder, a click log for `train --test`, then has a line for each user with
   * kept and held-out events; its target is the first event that is held out.
   */
  readonly holdOut?: HoldOut | undefined;
  /**
   * Folder of a dataset to add the events to: it grows by them, and is written to `output`. The tables give its schema,
   * and its limits hold for new values. Not together with `featureAppearLimit` and `holdOut`.
   */
  readonly from?: string | undefined;
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
  from: true,
  halfLife: true,
  history: true,
  evictAfter: true,
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
  return TableSession.temporary(options.signal, async (session) =>
    describe(source, await openTables(session, source, options)),
  );
}

/**
 * Prepares a dataset folder from a table of events: CSV, JSON lines or Parquet with one event per row. It is the same
 * dataset as that of a click log with the same events, one line per user, in the order of the user ids. The folder
 * appears only when it is complete. Throws the errors of `understandTables` and `prepareDataset`.
 */
export async function prepareTables(options: PrepareTablesOptions): Promise<PreparedDataset> {
  checkOptions("prepareTables", options, PREPARE_OPTIONS);
  const { output, featureAppearLimit = "auto", holdOut, onUnderstood, onWarning, signal } = options;
  checkPath("output", output);
  checkHoldOut(holdOut);
  const source = checkCommon(options);
  checkGrowth(options, ["featureAppearLimit", "holdOut"]);
  const from = await openToGrow(options.from, signal);
  return withDatasetFolder(output, async (folder) => {
    const { table, schema, read } = await TableSession.with(join(folder, "tables"), signal, async (session) => {
      const tables = await openTables(session, source, options);
      const { events, items, users, searches } = tables;
      const { missing = DEFAULT_MISSING } = source;
      const features = [users?.features ?? [], items?.features ?? []] as const;
      const { time, weight } = events.columns;
      const has = {
        ...{ time: time !== null, weight: weight !== undefined, searches: searches !== undefined },
        numbers: tables.numbers,
      };
      const schema = schemaOf(has, ...features, missing);
      checkAppearLimit(featureAppearLimit, vocabularyNames(schema));
      checkTimesToSplit(holdOut, has.time, events.files.name);
      onUnderstood?.(describe(source, tables));
      return { table: events, schema, read: await readTables(session, tables, missing, options) };
    });
    // The session has ended, so that its memory is free.
    const words = missingWords(schema);
    const isMissing = (text: string) => words.has(text);
    const report = reportOf(table, read.events);
    // What is held out does not count: all values have ids until it is left out.
    const limit = holdOut === undefined && from === undefined ? featureAppearLimit : 0;
    const occurrences = read.items && keptOccurrences(read.events, holdOut);
    const whole = contentsOf(read, schema, report, limit, isMissing);
    const name = table.files.name;
    const kept = holdOut ? await holdClicksOut(folder, whole, { holdOut, limit: featureAppearLimit, name }) : whole;
    const grown = from ? growContents(from, kept, options) : kept;
    const contents = occurrences ? withItemTable(grown, read, occurrences, isMissing) : grown;
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

/** The tables of a source, not read yet. */
interface Tables {
  readonly events: EventTable;
  readonly items: FeatureTable | undefined;
  readonly users: FeatureTable | undefined;
  readonly searches: SearchTable | undefined;
  /** Names of the numbers of the events. */
  readonly numbers: readonly string[];
}

async function openTables(
  session: TableSession,
  source: TableSource,
  { onBadLine, standardInput }: UnderstandTablesOptions,
): Promise<Tables> {
  const given = source.events!;
  const skipBad = onBadLine === "skip";
  const locateTable = async (table: (GivenForm & Pick<FeatureTableSource, "files">) | undefined) =>
    table?.files && (await locate(session, table, undefined));
  const located = await locate(session, given, standardInput);
  const [locatedItems, locatedUsers] = [await locateTable(source.items), await locateTable(source.users)];
  const locatedSearches = await locateTable(source.searches);
  const all = [located, locatedItems, locatedUsers, locatedSearches].flatMap((table) => (table ? [table.files] : []));
  await session.lock(all.flatMap(({ paths }) => paths));
  const events = await understand(session, located, given, skipBad);
  const { user, item } = events.columns;
  const taken = new Set([
    ...[USER, ITEM, TIME],
    ...(events.columns.weight === undefined ? [] : [WEIGHT]),
    ...(locatedSearches ? [SEARCHES, ...namesBeside(SEARCHES)] : []),
  ]);
  const numbers = (events.columns.numbers ?? []).map((column) => {
    const name = freeName("click", column, taken);
    taken.add(name);
    return name;
  });
  const open = async (at: LocatedTable | undefined, of: Described, table: FeatureTableSource = {}, column: string) => {
    if (!at) return undefined;
    const opened = await understandFeatures(session, at, of, table, column, taken, skipBad);
    for (const { name } of opened.features) taken.add(name);
    return opened;
  };
  const users = await open(locatedUsers, "user", source.users, user);
  const items = await open(locatedItems, "item", source.items, item);
  const searches =
    locatedSearches && (await understandSearches(session, locatedSearches, source.searches ?? {}, events, skipBad));
  for (const files of all) checkUnchanged(files);
  return { events, items, users, searches, numbers };
}

async function readTables(
  session: TableSession,
  { events: table, items, users, searches }: Tables,
  missing: readonly string[],
  { onBadLine, onWarning, from }: PrepareTablesOptions,
): Promise<ReadTables> {
  const events = await readEvents(session, table, missing, onBadLine === "skip");
  warnOfLeftOut(table, events.leftOut, onWarning);
  // New events may be single ones, which follow those that the dataset has.
  if (from === undefined) checkHistories(table, events);
  const featuresOf = async (features: FeatureTable | undefined, numbering: Numbering) => {
    if (!features) return undefined;
    const read = await readFeatures(session, features, numbering, missing);
    checkUnchanged(features.files);
    await checkWhole(features.files, features.form, session.signal);
    warnOfRows(features, read.rows, numbering.size, onWarning);
    return read;
  };
  const searchesOf = async (searched: SearchTable) => {
    const { searches: sorted, rows } = await readSearches(session, searched, events, missing);
    checkUnchanged(searched.files);
    await checkWhole(searched.files, searched.form, session.signal);
    warnOfSearches(searched, rows, sorted.before !== undefined, onWarning);
    return sorted;
  };
  return {
    events,
    userFeatures: (await featuresOf(users, events.users))?.values ?? [],
    items: await featuresOf(items, events.items),
    ...(searches && { searches: await searchesOf(searches) }),
  };
}

/** Warns of rows without events, of events without rows, and of rows that contradict each other. */
function warnOfRows(table: FeatureTable, rows: FeatureRows, size: number, onWarning: LogOptions["onWarning"]): void {
  const { files, described, key, features } = table;
  const { withoutRow, withoutEvents } = rows;
  const warn = (message: string) => onWarning?.(`${files.name}: ${message}`);
  if (withoutRow === size) warn(`no ${described} of the events has a row: is "${key}" the column of the same ids?`);
  else if (withoutRow > 0)
    warn(`${withoutRow} of ${size} ${described}s of the events have no row: their features are missing`);
  if (withoutEvents > 0 && (described === "user" || features.length === 0)) {
    warn(`${withoutEvents} ${described}s have a row but no event: they are left out`);
  } else if (withoutEvents > size) {
    warn(
      `${withoutEvents} items have a row but no event, more than the ${size} with events: all are in the catalogue as new items. Choose rows with "items": {"where": …} in --source`,
    );
  }
  warnOfRepeats(table, rows, onWarning);
}

/** Warns of searches that are left out, and of those that may have come after the clicks that they are to predict. */
function warnOfSearches(
  { files, columns }: SearchTable,
  { incomplete, withoutTime, withoutEvents }: SearchRows,
  areOrdered: boolean,
  onWarning: LogOptions["onWarning"],
): void {
  const warn = (message: string) => onWarning?.(`${files.name}: ${message}`);
  if (incomplete > 0) warn(`${incomplete} rows without a user or a text are left out`);
  if (withoutTime > 0) warn(`${withoutTime} rows without a time are left out`);
  if (withoutEvents > 0) warn(`${withoutEvents} searches are of users without events: they are left out`);
  if (areOrdered) return;
  const which = columns.time === null ? "searches have" : "events have";
  warn(`the ${which} no time, so all searches count as made before all events: the model may learn from later ones`);
}

// ---- what people see ------------------------------------------------------------------------------------------------

const UNIT_NAMES: Readonly<Record<TimeUnit, string>> = {
  s: "time in seconds",
  ms: "time in milliseconds",
  us: "time in microseconds",
  ns: "time in nanoseconds",
  date: "time as a date",
  number: "time as a number",
};

function describe(source: TableSource, { events, items, users, searches, numbers }: Tables): UnderstoodTables {
  const { columns, unit } = events;
  const timeMeaning = (time: string | null, unit: TimeUnit | undefined) =>
    time === null ? [] : ([[time, UNIT_NAMES[unit!]]] as const);
  const meanings = new Map<string, string>([
    [columns.user, "user"],
    [columns.item, "item"],
    ...timeMeaning(columns.time, unit),
    ...(columns.weight === undefined ? [] : ([[columns.weight, "weight"]] as const)),
    ...(columns.numbers ?? []).map((column, n) => {
      const meaning = plainName(column) === numbers[n] ? "number" : `number ${numbers[n]}`;
      return [column, column === columns.weight ? `weight and ${meaning}` : meaning] as const;
    }),
  ]);
  const searchMeanings = ({ columns, unit }: SearchTable) =>
    new Map<string, string>([[columns.user, "user"], [columns.text, "search"], ...timeMeaning(columns.time, unit)]);
  const featureMeanings = ({ described, key, features, title }: FeatureTable) =>
    new Map<string, string>([
      [key, described],
      ...(title === undefined ? [] : ([[title, "title"]] as const)),
      ...features.map(
        ({ column, name, kind }) => [column, plainName(column) === name ? kind : `${kind} ${name}`] as const,
      ),
    ]);
  const sourceOf = ({ key, features, form }: FeatureTable) => ({ ...form, id: key, features });
  return {
    source: {
      ...{ version: 1, ...source },
      events: { ...source.events, ...events.form, ...columns, ...(unit && { unit }) },
      ...(items && { items: { ...source.items, ...sourceOf(items), title: items.title ?? null } }),
      ...(users && { users: { ...source.users, ...sourceOf(users) } }),
      ...(searches && {
        searches: {
          ...{ ...source.searches, ...searches.form, ...searches.columns },
          ...(searches.unit && { unit: searches.unit }),
        },
      }),
    },
    tables: [
      describeTable(events, source.events?.where, meanings),
      ...(items ? [describeTable(items, items.where, featureMeanings(items))] : []),
      ...(searches ? [describeTable(searches, searches.where, searchMeanings(searches))] : []),
      ...(users ? [describeTable(users, users.where, featureMeanings(users))] : []),
    ],
  };
}

function describeTable(
  { files, form, found }: LocatedTable & { readonly found: readonly FoundColumn[] },
  where: string | undefined,
  meanings: ReadonlyMap<string, string>,
): UnderstoodTable {
  return {
    name: files.name,
    form: formName(form),
    files: files.paths.length,
    where,
    columns: found.map((column) => ({
      name: column.name,
      meaning: meanings.get(column.name),
      samples: samplesOf(column),
      missing: column.values.filter((value) => value === null || value === "").length / column.values.length,
    })),
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
  { withoutUser, withoutItem, problems, withBadValue, badLines }: LeftOut,
  onWarning: LogOptions["onWarning"],
): void {
  if (withoutUser > 0) onWarning?.(`${files.name}: ${withoutUser} rows without a user are left out`);
  if (withoutItem > 0) onWarning?.(`${files.name}: ${withoutItem} rows without an item are left out`);
  if (withBadValue + badLines > 0) {
    onWarning?.(
      `${files.name}: ${withBadValue + badLines} rows that cannot be read are left out: ${problems.join("; ")}`,
    );
  }
}

// ---- what a dataset holds -------------------------------------------------------------------------------------------

/** Throws ERR_TABLE if no user has two events: there would be no next event to learn. */
function checkHistories({ files, columns }: EventTable, { users, itemNumbers }: SortedEvents): void {
  if (users.size < itemNumbers.length || itemNumbers.length === 1) return;
  throw new ShortlistError(
    "ERR_TABLE",
    `${files.name}: Expected several events of a user but each of the ${users.size} users in column "${columns.user}" has one row: is it a table of users, or the wrong column? Choose another with --user; where a row holds a whole sequence, make a row of each item with a query in --source (docs/data.md#sequences)`,
  );
}

/** Reports what a reading of the same events as a click log would report. */
function reportOf({ files }: EventTable, { offsets, itemNumbers, leftOut }: SortedEvents): LogReport {
  const { badLines, withBadValue, problems } = leftOut;
  const lines = offsets.length - 1;
  const skipped = badLines + withBadValue;
  return {
    files: [{ name: files.label, lines, skipped }],
    lines,
    clicks: itemNumbers.length,
    withoutClicks: 0,
    skipped,
    badLines: problems,
  };
}
