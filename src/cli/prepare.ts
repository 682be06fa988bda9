import { Command } from "commander";
import { prepareDataset, readSchema } from "../index.js";
import { type LogFlags, path, paths, wholeNumber, withLogFlags } from "./options.js";
import { say, sayReport } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags extends LogFlags {
  readonly output: string;
  readonly featureAppearLimit: number;
  readonly schema?: string;
}

export function prepareCommand(): Command {
  const command = new Command("prepare")
    .description("count a click log's vocabularies and write it as a dataset folder")
    .argument("<log...>", "click logs, one user a line", paths)
    .requiredOption("--output <dataset>", "dataset folder to write", path)
    .option(
      "--feature-appear-limit <n>",
      "keep the values that appear more often than this; the others become <unk>",
      wholeNumber(0),
      20,
    )
    .option(
      "--schema <file>",
      "JSON that describes the log's columns (default: user_id, province, city, clicks, phone)",
      path,
    );
  return withLogFlags(command).action(async (logs: string[], { schema, ...flags }: Flags) => {
    whenStopped(() => `${flags.output} is as it was before.`);
    const { report, ...dataset } = await prepareDataset({
      logs,
      ...flags,
      ...(schema !== undefined && { schema: await readSchema(schema) }),
    });
    sayReport(report);
    say(`${flags.output}: ${dataset.users} users, ${dataset.clicks} clicks`);
    for (const [feature, size] of Object.entries(dataset.vocabularySizes))
      say(`  ${feature}: ${size - 1} values and <unk>`);
    for (const { feature, token, count } of dataset.suspects) {
      say(
        `  ${feature} has a value ${JSON.stringify(token)}, ${count} times: if it means none, add it to the schema's "missing"`,
      );
    }
  });
}
