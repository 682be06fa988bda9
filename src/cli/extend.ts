import { Command } from "commander";
import { areItemTables, extendModelFolder, type ItemTableSource, readTableSource } from "../index.js";
import { finiteNumber, type LogFlags, path, paths, withLogFlags } from "./options.js";
import { LOG_MESSAGES, say } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags extends LogFlags {
  readonly dataset?: string;
  readonly output: string;
  readonly boost: number;
  readonly item?: string;
  readonly source?: string;
}

export function extendCommand(): Command {
  const command = new Command("extend")
    .description("add items to a model by their attributes, without training")
    .argument("<model>", "model folder", path)
    .argument(
      "[inputs...]",
      "click logs with the new items and their attributes; or a table with a row for each item (CSV, JSON lines, Parquet)",
      paths,
    )
    .option(
      "--dataset <dataset>",
      "dataset that the model was trained on (only models of earlier versions need it)",
      path,
    )
    .requiredOption("--output <model>", "model folder to write", path)
    .option("--boost <x>", "number added to the scores of new items; 1 makes them e times as likely", finiteNumber, 1)
    .option("--item <column>", "table: the column with the ids of the items (default: told by its name)", path)
    .option("--source <file>", 'table: JSON that describes it under "items" (docs/data.md)', path);
  return withLogFlags(command).action(async (folder: string, inputs: string[], flags: Flags) => {
    const { item, source, ...options } = flags;
    whenStopped(() => `${flags.output} is unchanged.`);
    const isTable = item !== undefined || source !== undefined || (await areItemTables(inputs));
    const found = isTable ? { itemTable: await itemTableOf(inputs, flags) } : { logs: inputs };
    const { added, withoutAttributes } = await extendModelFolder(folder, { ...options, ...found, ...LOG_MESSAGES });
    const without = withoutAttributes > 0 ? `, ${withoutAttributes} of them without known attributes` : "";
    say(`${flags.output}: ${added} new items${without}`);
  });
}

/** Returns the table of items in the file of --source, overridden by the options of the command line. */
async function itemTableOf(inputs: readonly string[], { item, source }: Flags): Promise<ItemTableSource> {
  const { items } = source === undefined ? {} : await readTableSource(source);
  return { ...items, ...(inputs.length > 0 && { files: inputs }), ...(item !== undefined && { id: item }) };
}
