import { Command, Option } from "commander";
import { prepareDataset, readSchema } from "../index.js";
import { wholeNumber } from "./options.js";
import { say } from "./output.js";

interface Flags {
  readonly output: string;
  readonly featureAppearLimit: number;
  readonly onBadLine: "fail" | "skip";
  readonly maxLineBytes: number;
  readonly schema?: string;
}

export function prepareCommand(): Command {
  return new Command("prepare")
    .description("count a click log's vocabularies and write it as a dataset folder")
    .argument("<log...>", "click logs, one user a line")
    .requiredOption("--output <dataset>", "dataset folder to write")
    .option(
      "--feature-appear-limit <n>",
      "keep the values that appear more often than this; the others become <unk>",
      wholeNumber(0),
      20,
    )
    .addOption(
      new Option("--on-bad-line <what>", "stop at a malformed line, or leave it out and list it")
        .choices(["fail", "skip"])
        .default("fail"),
    )
    .option("--max-line-bytes <n>", "longest line that is taken for a user's", wholeNumber(1), 512 * 1024)
    .option(
      "--schema <file>",
      "JSON that describes the log's columns (default: user_id, province, city, clicks, phone)",
    )
    .action(async (logs: string[], { schema, ...flags }: Flags) => {
      const { report, ...dataset } = await prepareDataset({
        logs,
        ...flags,
        ...(schema && { schema: await readSchema(schema) }),
      });
      const { badLines, skipped } = report;
      for (const message of badLines) say(`left out ${message}`);
      if (skipped > badLines.length) say(`left out ${skipped - badLines.length} more lines`);
      say(`${flags.output}: ${dataset.users} users, ${dataset.clicks} clicks`);
      for (const [feature, size] of Object.entries(dataset.vocabularySizes))
        say(`  ${feature}: ${size - 1} values and <unk>`);
    });
}
