import { Command } from "commander";
import { extendModelFolder } from "../index.js";
import { finiteNumber, type LogFlags, path, paths, withLogFlags } from "./options.js";
import { LOG_MESSAGES, say } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags extends LogFlags {
  readonly dataset?: string;
  readonly output: string;
  readonly boost: number;
}

export function extendCommand(): Command {
  const command = new Command("extend")
    .description("add items to a model by their attributes, without training")
    .argument("<model>", "model folder", path)
    .argument("<log...>", "click logs with the new items and their attributes", paths)
    .option(
      "--dataset <dataset>",
      "dataset that the model was trained on (only models of earlier versions need it)",
      path,
    )
    .requiredOption("--output <model>", "model folder to write", path)
    .option("--boost <x>", "number added to the scores of new items; 1 makes them e times as likely", finiteNumber, 1);
  return withLogFlags(command).action(async (folder: string, logs: string[], flags: Flags) => {
    const { output } = flags;
    whenStopped(() => `${output} is unchanged.`);
    const { added, withoutAttributes } = await extendModelFolder(folder, { logs, ...flags, ...LOG_MESSAGES });
    const without = withoutAttributes > 0 ? `, ${withoutAttributes} of them without known attributes` : "";
    say(`${output}: ${added} new items${without}`);
  });
}
