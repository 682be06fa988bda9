import { Command } from "commander";
import { simulate } from "../index.js";
import { path, seedNumber, wholeNumber } from "./options.js";
import { say } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags {
  readonly output: string;
  readonly users: number;
  readonly items: number;
  readonly meanClicks: number;
  readonly meanSearches: number;
  readonly seed: number;
}

export function simulateCommand(): Command {
  return new Command("simulate")
    .description(
      "write click logs with a known structure: train.tsv, test.tsv (each line ends with a held-out click), infer.tsv",
    )
    .requiredOption("--output <dir>", "folder to write", path)
    .option("--users <n>", "number of users", wholeNumber(1), 10000)
    .option("--items <n>", "number of items", wholeNumber(50), 5000)
    .option("--mean-clicks <n>", "mean number of clicks per user, at least 3", wholeNumber(3), 30)
    .option(
      "--mean-searches <n>",
      "mean number of past searches per user, which announce tastes; adds a column, and log_schema.json for prepare --schema",
      wholeNumber(0),
      0,
    )
    .option("--seed <n>", "random seed", seedNumber, 1)
    .action(async (flags: Flags) => {
      whenStopped(() => `${flags.output} is unchanged.`);
      const report = await simulate(flags);
      say(`${flags.output}: ${flags.users} users, ${report.clicks} clicks`);
    });
}
