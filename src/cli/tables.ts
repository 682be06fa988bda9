import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import {
  areClickLogs,
  type ClickNumberSummary,
  clickLog,
  type EventSource,
  type FeatureCounts,
  type Log,
  type PreparedDataset,
  readTableSource,
  ShortlistError,
  type TableSource,
  type UnderstoodTables,
  withStandardInput,
} from "../index.js";
import { finiteNumber, path, wholeNumber } from "./options.js";
import { alignText, say, sayReport } from "./output.js";

/** Flags of commands that read tables of events. */
export interface TableFlags {
  readonly user?: string;
  readonly item?: string;
  /** False with --no-time. */
  readonly time?: string | false;
  readonly weight?: string;
  readonly clickNumber?: readonly string[];
  readonly where?: string;
  readonly source?: string;
  readonly items?: string;
  readonly users?: string;
  readonly searches?: string;
}

/** Adds the flags that describe tables. */
export function withTableFlags(command: Command): Command {
  return command
    .option("--user <column>", "table: the column of the user (default: told by its name)", column)
    .option("--item <column>", "table: the column of the item (default: told by its name)", column)
    .option("--time <column>", "table: the column of the time (default: told by its name)", column)
    .option("--no-time", "table: take a user's events in the order of the rows")
    .option(
      "--weight <column>",
      "table: the column by which training weights the events (default: all weigh the same)",
      column,
    )
    .option(
      "--click-number <column>",
      "table: a column with a number of each event, such as a price, which the network reads of clicks before the target (may be repeated; default: none)",
      columns,
    )
    .option("--where <condition>", 'table: SQL condition that an event must meet, such as "rating >= 4"', column)
    .option("--items <file>", "table: file with a row of attributes for each item", path)
    .option("--users <file>", "table: file with a row of features for each user", path)
    .option("--searches <file>", "table: file with a row for each search: user, text, time", path)
    .option("--source <file>", "table: JSON that says the same and more (docs/data.md)", path);
}

/** Adds the flags that say how a dataset grows. */
export function withGrowthFlags(command: Command): Command {
  return command
    .option(
      "--half-life <n>",
      "number of updates after which the counts of earlier clicks weigh half (default: they stay)",
      finiteNumber,
    )
    .option("--history <n>", "keep this many of each user's earlier clicks (default: all)", wholeNumber(1))
    .option(
      "--evict-after <n>",
      "drop items and users without a click in this many updates, and use their rows again (default: never)",
      wholeNumber(1),
    );
}

function column(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Expected a text that is not empty.");
  return text;
}

function columns(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, column(text)];
}

const TABLE_FLAGS: Readonly<Record<keyof TableFlags, true>> = {
  user: true,
  item: true,
  time: true,
  weight: true,
  clickNumber: true,
  where: true,
  source: true,
  items: true,
  users: true,
  searches: true,
};

/** Divides flags into those that describe tables, and the others. */
export function splitTableFlags<Flags extends TableFlags>(
  flags: Flags,
): { readonly tables: TableFlags; readonly others: Omit<Flags, keyof TableFlags> } {
  const isOfTables = ([name]: [string, unknown]) => Object.hasOwn(TABLE_FLAGS, name);
  const entries = Object.entries(flags);
  return {
    tables: Object.fromEntries(entries.filter(isOfTables)),
    others: Object.fromEntries(entries.filter((entry) => !isOfTables(entry))) as Omit<Flags, keyof TableFlags>,
  };
}

/**
 * Calls `run`, with a copy of standard input if that is the only input. The copy lies beside `output` and is removed
 * afterwards.
 */
export async function withInputs(
  inputs: readonly string[],
  output: string | undefined,
  run: (standardInput?: string) => Promise<void>,
): Promise<void> {
  if (!inputs.includes("-")) return run();
  if (inputs.length > 1) throw new ShortlistError("ERR_OPTION", "Expected standard input (-) to be the only input");
  await withStandardInput(output, undefined, run);
}

/** Whether the inputs are tables: if an option that only tables have is given, or else by looking into the files. */
export async function isTable(
  inputs: readonly string[],
  { schema, ...flags }: TableFlags & { readonly schema?: string },
): Promise<boolean> {
  // Without --time and --no-time, `time` is true.
  const isGiven = Object.values(splitTableFlags(flags).tables).some((flag) => flag !== undefined && flag !== true);
  if (schema === undefined) return isGiven || inputs.length === 0 || !(await areClickLogs(inputs));
  if (isGiven)
    throw new ShortlistError(
      "ERR_OPTION",
      "Expected --schema, for click logs, or options of tables, but received both",
    );
  return false;
}

/** The click log of standard input, which was copied to a file. */
export function logOfStandardInput(copy: string): Log {
  const name = "standard input";
  return { ...clickLog(copy), name, label: name, where: (line) => `${name}:${line}` };
}

/** Returns the source in the file of --source, overridden by the options of the command line. */
export async function sourceOf(
  inputs: readonly string[],
  { source, user, item, time, weight, clickNumber, where, items, users, searches }: TableFlags,
): Promise<TableSource> {
  const written = source === undefined ? {} : await readTableSource(source);
  const given: EventSource = {
    ...(inputs.length > 0 && { files: inputs }),
    ...(user !== undefined && { user }),
    ...(item !== undefined && { item }),
    ...(typeof time === "string" && { time, unit: undefined }),
    ...(time === false && { time: null }),
    ...(weight !== undefined && { weight }),
    ...(clickNumber !== undefined && { numbers: clickNumber }),
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

/** Formats each table with its columns: their roles, some values, and how many values are missing. */
export function formatTables({ tables }: UnderstoodTables): string {
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

/** Says what a dataset holds, and how it was read. */
export function sayDataset(output: string, { report, ...dataset }: PreparedDataset): void {
  sayReport(report);
  say(`${output}: ${dataset.users} users, ${dataset.clicks} clicks`);
  if (dataset.growth) {
    const { clicks, users, values, evicted } = dataset.growth;
    const added = Object.entries(values).map(([name, count]) => `${name} ${count}`);
    say(`  new: ${clicks} clicks, ${users} users; values ${added.join(", ")}`);
    if (evicted.items + evicted.users > 0) say(`  dropped: ${evicted.items} items, ${evicted.users} users`);
  }
  for (const feature of dataset.features) say(`  ${formatFeature(feature)}`);
  if (dataset.newItems > 0) {
    say(`  ${dataset.newItems} new items, without events: train adds them to the model by their attributes`);
  }
  if (dataset.times) say(`  times ${formatTimes(dataset.times)}`);
  if (dataset.weights) {
    const { smallest, largest, mean } = dataset.weights;
    say(`  weights from ${smallest} to ${largest}, on average ${Number(mean.toPrecision(4))}`);
  }
  for (const number of dataset.clickNumbers ?? []) say(`  ${formatNumber(number)}`);
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

/** Describes the numbers of clicks. */
function formatNumber({ name, smallest, largest, mean, missing }: ClickNumberSummary): string {
  if (Number.isNaN(smallest)) return `${name}: a number, which every click lacks`;
  const without = missing === 0 ? "" : `; ${missing} clicks have none`;
  return `${name}: numbers from ${smallest} to ${largest}, on average ${Number(mean.toPrecision(4))}${without}`;
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
