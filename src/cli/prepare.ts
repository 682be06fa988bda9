import { Command, Option } from "commander";
import { type AppearLimit, type FeatureCounts, prepareDataset, readSchema } from "../index.js";
import { appearLimit, type LogFlags, path, paths, withLogFlags } from "./options.js";
import { say, sayReport, warn } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags extends LogFlags {
  readonly output: string;
  readonly featureAppearLimit?: AppearLimit;
  readonly repeatUsers: "join" | "keep";
  readonly schema?: string;
}

export function prepareCommand(): Command {
  const command = new Command("prepare")
    .description("prepare a dataset from click logs: count the vocabularies and encode the clicks")
    .argument("<log...>", "click logs, one user per line", paths)
    .requiredOption("--output <dataset>", "dataset folder to write", path)
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
    .option(
      "--schema <file>",
      "JSON file that describes the columns of the log (default: user_id, province, city, clicks, phone)",
      path,
    );
  return withLogFlags(command).action(async (logs: string[], { schema, ...flags }: Flags) => {
    whenStopped(() => `${flags.output} is unchanged.`);
    const { report, ...dataset } = await prepareDataset({
      logs,
      ...flags,
      ...(schema !== undefined && { schema: await readSchema(schema) }),
      onWarning: warn,
    });
    sayReport(report);
    say(`${flags.output}: ${dataset.users} users, ${dataset.clicks} clicks`);
    for (const feature of dataset.features) say(`  ${formatFeature(feature)}`);
    if (dataset.times) say(`  times ${formatTimes(dataset.times)}`);
    for (const { feature, token, count } of dataset.suspects) {
      say(
        `  ${feature} has a value ${JSON.stringify(token)}, ${count} times: if it means none, add it to the schema's "missing"`,
      );
    }
  });
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
