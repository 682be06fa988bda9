import { Command, InvalidArgumentError, Option } from "commander";
import {
  type AppearLimit,
  type GrowthOptions,
  type HoldOut,
  prepareDataset,
  prepareTables,
  readSchema,
  ShortlistError,
  understandTables,
} from "../index.js";
import { appearLimit, type LogFlags, path, paths, withLogFlags } from "./options.js";
import { print, say, warn, writeJson } from "./output.js";
import { whenStopped } from "./stop.js";
import {
  formatTables,
  isTable,
  logOfStandardInput,
  sayDataset,
  sourceOf,
  type TableFlags,
  withGrowthFlags,
  withInputs,
  withTableFlags,
} from "./tables.js";

interface Flags extends LogFlags, TableFlags, GrowthOptions {
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly from?: string;
  readonly output?: string;
  readonly holdout?: "last";
  readonly splitTime?: number;
  readonly featureAppearLimit?: AppearLimit;
  readonly repeatUsers?: "join" | "keep";
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
        "join the lines of a user_id that has several, or keep them as users of their own (default: join)",
      ).choices(["join", "keep"]),
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
    .option(
      "--from <dataset>",
      "dataset to add the events to: it grows by them, and keeps its ids, schema and limits (docs/updating.md)",
      path,
    );
  withTableFlags(withGrowthFlags(command))
    .option("--dry-run", "table: print what was understood, and stop", false)
    .option("--json", "with --dry-run, print it as the JSON that --source takes", false)
    .option(
      "--schema <file>",
      "click log: JSON that describes its columns (default: user_id, province, city, clicks, phone)",
      path,
    );
  return withLogFlags(command).action(async (inputs: string[], flags: Flags) => {
    if (flags.output !== undefined) whenStopped(() => `${flags.output} is unchanged.`);
    await withInputs(inputs, flags.output, (copy) => prepare(inputs, flags, copy));
  });
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

async function prepareLogs(inputs: string[], flags: Flags, standardInput?: string): Promise<void> {
  const {
    schema,
    featureAppearLimit,
    onBadLine,
    maxLineBytes,
    repeatUsers,
    dryRun,
    from,
    halfLife,
    history,
    evictAfter,
  } = flags;
  if (dryRun) throw new ShortlistError("ERR_OPTION", "Expected a table for --dry-run but received a click log");
  const output = outputOf(flags);
  const logs = inputs.map((input) => (input === "-" ? logOfStandardInput(standardInput!) : input));
  const dataset = await prepareDataset({
    ...{ logs, output, featureAppearLimit, onBadLine, maxLineBytes, repeatUsers, onWarning: warn },
    ...{ holdOut: holdOutOf(flags), from, halfLife, history, evictAfter },
    ...(schema !== undefined && { schema: await readSchema(schema) }),
  });
  sayDataset(output, dataset);
}

async function prepareTable(inputs: string[], flags: Flags, standardInput?: string): Promise<void> {
  const { featureAppearLimit, onBadLine, dryRun, json, from, halfLife, history, evictAfter } = flags;
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
    ...{ holdOut: holdOutOf(flags), from, halfLife, history, evictAfter },
    onUnderstood: (understood) => say(formatTables(understood)),
  });
  sayDataset(output, dataset);
}

function holdOutOf({ holdout, splitTime }: Flags): HoldOut | undefined {
  return splitTime === undefined ? holdout : { splitTime };
}

function outputOf({ output }: Flags): string {
  if (output !== undefined) return output;
  throw new ShortlistError("ERR_OPTION", "Expected --output with the dataset folder to write");
}
