import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import {
  type AppearLimit,
  areClickLogs,
  clickLog,
  type EventSource,
  type FeatureCounts,
  type HoldOut,
  type Log,
  type PreparedDataset,
  prepareDataset,
  prepareTables,
  readSchema,
  readTableSource,
  ShortlistError,
  type TableSource,
  type UnderstoodTables,
  understandTables,
  withStandardInput,
} from "../index.js";
import { appearLimit, type LogFlags, path, paths, withLogFlags } from "./options.js";
import { alignText, print, say, sayReport, warn, writeJson } from "./output.js";
import { whenStopped } from "./stop.js";

/** Flags of tables alone. */
interface TableFlags {
  readonly user?: string;
  readonly item?: string;
  /** False with --no-time. */
  readonly time?: string | false;
  readonly where?: string;
  readonly source?: string;
  readonly items?: string;
  readonly users?: string;
  readonly searches?: string;
  readonly dryRun: boolean;
  readonly json: boolean;
}

interface Flags extends LogFlags, TableFlags {
  readonly output?: string;
  readonly holdout?: "last";
  readonly splitTime?: number;
  readonly featureAppearLimit?: AppearLimit;
  readonly repeatUsers: "join" | "keep";
  readonly schema?: string;
}

export function prepareCommand(): Command {
  const command = new Command("prepare")
    .description("make a dataset folder from a table of events (CSV, JSON lines, Parquet) or from click logs")
    .argument(
      "[inputs...]",
      "files, folders or 'patterns/*' of one table; or click logs, one user a line; - is standard input",
      paths,
    )
    .option("--output <dataset>", "dataset folder to write", path)
    .option(
      "--feature-appear-limit <n>",
      "give values that appear more often than this an id; the others become <unk>. For one feature: item=5 (default: auto, which keeps all items, and all but the rarest 1 % of another feature's uses)",
      appearLimit,
    )
    .addOption(
      new Option(
        "--repeat-users <what>",
        "join the lines of a user_id that has several, or keep them as users of their own",
      )
        .choices(["join", "keep"])
        .default("join"),
    )
    .addOption(
      new Option(
        "--holdout <what>",
        "leave out each user's last event, and write test.tsv in the dataset folder, on which train evaluates",
      )
        .choices(["last"])
        .conflicts("splitTime"),
    )
    .option(
      "--split-time <time>",
      "the same for the events from a time on, such as 2026-11-28 or seconds since 1970",
      splitTime,
    )
    .option("--user <column>", "table: the column of the user (default: told by its name)", column)
    .option("--item <column>", "table: the column of the item (default: told by its name)", column)
    .option("--time <column>", "table: the column of the time (default: told by its name)", column)
    .option("--no-time", "table: take a user's events in the order of the rows")
    .option("--where <condition>", 'table: SQL condition that an event must meet, such as "rating >= 4"', column)
    .option("--items <file>", "table: file with a row of attributes for each item", path)
    .option("--users <file>", "table: file with a row of features for each user", path)
    .option("--searches <file>", "table: file with a row for each search: user, text, time", path)
    .option("--source <file>", "table: JSON that says the same and more (docs/data.md)", path)
    .option("--dry-run", "table: print what was understood, and stop", false)
    .option("--json", "with --dry-run, print it as the JSON that --source takes", false)
    .option(
      "--schema <file>",
      "click log: JSON that describes its columns (default: user_id, province, city, clicks, phone)",
      path,
    );
  return withLogFlags(command).action(async (inputs: string[], flags: Flags) => {
    if (flags.output !== undefined) whenStopped(() => `${flags.output} is unchanged.`);
    if (!inputs.includes("-")) return prepare(inputs, flags);
    if (inputs.length > 1) throw new ShortlistError("ERR_OPTION", "Expected standard input (-) to be the only input");
    await withStandardInput(flags.output, undefined, (copy) => prepare(inputs, flags, copy));
  });
}

function column(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Expected a text that is not empty.");
  return text;
}

/** A date, UTC unless it has a zone, as seconds since 1970; or a number as it is. */
function splitTime(text: string): number {
  if (text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  const isDate = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/.test(text);
  const hasZone = /(Z|[+-]\d\d:?\d\d)$/.test(text.slice(10));
  const time = isDate ? Date.parse(text.length > 10 && !hasZone ? `${text}Z` : text) : Number.NaN;
  if (Number.isNaN(time)) throw new InvalidArgumentError("Expected a date such as 2026-11-28 or a number.");
  return time / 1000;
}

async function prepare(inputs: string[], flags: Flags, standardInput?: string): Promise<void> {
  const read = inputs.map((input) => (input === "-" ? standardInput! : input));
  if (await isTable(read, flags)) await prepareTable(inputs, flags, standardInput);
  else await prepareLogs(inputs, flags, standardInput);
}

/** Whether the inputs are tables: if an option that only tables have is given, or else by looking into the files. */
async function isTable(inputs: readonly string[], { schema, ...flags }: Flags): Promise<boolean> {
  const { user, item, time, where, source, items, users, searches } = flags;
  const isGiven =
    [user, item, where, source, items, users, searches].some((flag) => flag !== undefined) ||
    time === false ||
    typeof time === "string";
  if (schema === undefined) return isGiven || inputs.length === 0 || !(await areClickLogs(inputs));
  if (isGiven)
    throw new ShortlistError(
      "ERR_OPTION",
      "Expected --schema, for click logs, or options of tables, but received both",
    );
  return false;
}

async function prepareLogs(inputs: string[], flags: Flags, standardInput?: string): Promise<void> {
  const { schema, featureAppearLimit, onBadLine, maxLineBytes, repeatUsers, dryRun } = flags;
  if (dryRun) throw new ShortlistError("ERR_OPTION", "Expected a table for --dry-run but received a click log");
  const output = outputOf(flags);
  const logs = inputs.map((input) => (input === "-" ? logOfStandardInput(standardInput!) : input));
  const dataset = await prepareDataset({
    ...{ logs, output, featureAppearLimit, onBadLine, maxLineBytes, repeatUsers, onWarning: warn },
    holdOut: holdOutOf(flags),
    ...(schema !== undefined && { schema: await readSchema(schema) }),
  });
  sayDataset(output, dataset);
}

function logOfStandardInput(copy: string): Log {
  const name = "standard input";
  return { ...clickLog(copy), name, label: name, where: (line) => `${name}:${line}` };
}

async function prepareTable(inputs: string[], flags: Flags, standardInput?: string): Promise<void> {
  const { featureAppearLimit, onBadLine, dryRun, json } = flags;
  const tables = { source: await sourceOf(inputs, flags), onBadLine, standardInput };
  if (dryRun) {
    const understood = await understandTables(tables);
    if (json) await writeJson(understood.source);
    else await print(`${formatTables(understood)}\n`);
    return;
  }
  const output = outputOf(flags);
  const dataset = await prepareTables({
    ...{ ...tables, output, featureAppearLimit, onWarning: warn },
    holdOut: holdOutOf(flags),
    onUnderstood: (understood) => say(formatTables(understood)),
  });
  sayDataset(output, dataset);
}

/** Returns the source in the file of --source, overridden by the options of the command line. */
async function sourceOf(
  inputs: readonly string[],
  { source, user, item, time, where, items, users, searches }: Flags,
): Promise<TableSource> {
  const written = source === undefined ? {} : await readTableSource(source);
  const given: EventSource = {
    ...(inputs.length > 0 && { files: inputs }),
    ...(user !== undefined && { user }),
    ...(item !== undefined && { item }),
    ...(typeof time === "string" && { time, unit: undefined }),
    ...(time === false && { time: null }),
    ...(where !== undefined && { where }),
  };
  return {
    ...written,
    events: { ...written.events, ...given },
    ...(items !== undefined && { items: { ...written.items, files: [items] } }),
    ...(users !== undefined && { users: { ...written.users, files: [users] } }),
    ...(searches !== undefined && { searches: { ...written.searches, files: [searches] } }),
  };
}

function holdOutOf({ holdout, splitTime }: Flags): HoldOut | undefined {
  return splitTime === undefined ? holdout : { splitTime };
}

function outputOf({ output }: Flags): string {
  if (output !== undefined) return output;
  throw new ShortlistError("ERR_OPTION", "Expected --output with the dataset folder to write");
}

/** Formats each table with its columns: their roles, some values, and how many values are missing. */
function formatTables({ tables }: UnderstoodTables): string {
  return tables
    .map(({ name, form, files, where, columns }) => {
      const rows = columns.map(({ name, meaning = "", samples, missing }) => [
        name,
        meaning || "not used",
        samples.join(", "),
        missing === 0 ? "" : `${(100 * missing).toFixed(1)} %`,
      ]);
      const title = `${name}: ${form}${files > 1 ? `, ${files} files` : ""}${where === undefined ? "" : `, where ${where}`}`;
      return `${title}\n${alignText([["column", "meaning", "values", "missing"], ...rows])}`;
    })
    .join("\n\n");
}

function sayDataset(output: string, { report, ...dataset }: PreparedDataset): void {
  sayReport(report);
  say(`${output}: ${dataset.users} users, ${dataset.clicks} clicks`);
  for (const feature of dataset.features) say(`  ${formatFeature(feature)}`);
  if (dataset.newItems > 0) {
    say(`  ${dataset.newItems} new items, without events: train adds them to the model by their attributes`);
  }
  if (dataset.times) say(`  times ${formatTimes(dataset.times)}`);
  if (dataset.testUsers !== undefined) {
    say(
      `  held out: an event of each of ${dataset.testUsers} users, in ${join(output, "test.tsv")}, on which train evaluates`,
    );
  }
  for (const { feature, token, count } of dataset.suspects) {
    say(
      `  ${feature} has a value ${JSON.stringify(token)}, ${count} times: if it means none, add it to "missing" of the schema or source`,
    );
  }
}

/** Describes how many values of a feature its vocabulary has, and how many it leaves out. */
function formatFeature(feature: FeatureCounts): string {
  const { name, unit, appearLimit: limit, values, valuesLeftOut, uses, usesLeftOut } = feature;
  const kept = `${name}: ${values - valuesLeftOut} values and <unk>`;
  if (valuesLeftOut === 0) return kept;
  const share = (part: number, all: number, what: string) =>
    `${part} of ${all} ${what} (${((100 * part) / all).toFixed(1)} %)`;
  const leftOut = `${share(valuesLeftOut, values, "values")} and ${share(usesLeftOut, uses, unit)}`;
  return `${kept}; left out, as they appear at most ${limit === 1 ? "once" : `${limit} times`}: ${leftOut}`;
}

/** Describes the range of times, with dates if the numbers look like seconds or milliseconds. */
function formatTimes({ earliest, latest }: { readonly earliest: number; readonly latest: number }): string {
  if (Number.isNaN(earliest)) return "are missing in every click";
  const unit = [1, 1000].find((perSecond) => earliest > 1e8 * perSecond && latest < 1e10 * perSecond);
  const date = (time: number) => new Date((time * 1000) / unit!).toISOString().slice(0, 10);
  return `from ${earliest} to ${latest}${unit ? ` (${date(earliest)} to ${date(latest)})` : ""}`;
}
