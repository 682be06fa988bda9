import { realpath } from "node:fs/promises";
import { Command } from "commander";
import { extendModel, openDataset, openModel, trainingMembers, withModelFolder, writeModel } from "../index.js";
import { finiteNumber, type LogFlags, path, paths, withLogFlags } from "./options.js";
import { LOG_MESSAGES, say, warn } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags extends LogFlags {
  readonly dataset: string;
  readonly output: string;
  readonly boost: number;
}

export function extendCommand(): Command {
  const command = new Command("extend")
    .description("add items that a model was not trained on, by their attributes; nothing is trained")
    .argument("<model>", "model folder", path)
    .argument("<log...>", "click logs that hold the new items with their attributes", paths)
    .requiredOption("--dataset <dataset>", "dataset that the model was trained on", path)
    .requiredOption("--output <model>", "model folder to write", path)
    .option("--boost <x>", "added to the new items' scores: 1 makes them e times as likely", finiteNumber, 1);
  return withLogFlags(command).action(async (folder: string, logs: string[], { dataset, output, ...flags }: Flags) => {
    whenStopped(() => `${output} is as it was before.`);
    const extended = await withModelFolder(output, async (target) => {
      const model = await openModel(folder);
      const extension = await extendModel(model, {
        dataset: await openDataset(dataset),
        logs,
        ...flags,
        ...LOG_MESSAGES,
      });
      if (extension.added === 0) warn("the logs hold no item that is new to the model: it is written as it was");
      const isInPlace = (await realpath(folder)) === target;
      await writeModel(extension.model, target, isInPlace ? await trainingMembers(target) : []);
      return extension;
    });
    const without = extended.withoutAttributes;
    say(`${output}: ${extended.added} new items${without > 0 ? `, ${without} of them without known attributes` : ""}`);
  });
}
