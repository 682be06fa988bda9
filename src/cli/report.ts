import { Command } from "commander";
import { writeReport } from "../index.js";
import { formatEvaluation } from "./evaluate.js";
import { type EngineFlags, type LogFlags, path, withEngineFlags, withLogFlags } from "./options.js";
import { LOG_MESSAGES, print, say } from "./output.js";

interface Flags extends EngineFlags, LogFlags {
  readonly dataset?: string;
  readonly output?: string;
}

export function reportCommand(): Command {
  const command = new Command("report")
    .description("write a page about a model: how it was trained, its metrics, what it recommends, similar items")
    .argument("<model>", "model folder", path)
    .option(
      "--dataset <folder>",
      "also measure the model, popularity and transitions on the clicks that are held out of this dataset, on which the " +
        "model was trained",
      path,
    )
    .option("--output <file>", "HTML file to write (default: report.html in the model folder)", path);
  return withEngineFlags(withLogFlags(command)).action(async (folder: string, flags: Flags) => {
    const { output, evaluation } = await writeReport(folder, { ...flags, ...LOG_MESSAGES });
    if (evaluation) say(formatEvaluation(evaluation));
    await print(`${output}\n`);
  });
}
