import { Command, Option } from "commander";
import { openIndex, openModel, recommend, type Shortlist } from "../index.js";
import { type EngineFlags, type LogFlags, path, wholeNumber, withEngineFlags, withLogFlags } from "./options.js";
import { LineWriter, LOG_MESSAGES } from "./output.js";

interface Flags extends EngineFlags, LogFlags {
  readonly top: number;
  readonly keepWatched: boolean;
  readonly format: "jsonl" | "text";
  readonly index?: string;
}

export function recommendCommand(): Command {
  const command = new Command("recommend")
    .description("print a shortlist for each line of a log: the items that the user may click next")
    .argument("<model>", "model folder", path)
    .argument("<log>", "click log", path)
    .option("--top <n>", "length of the shortlist", wholeNumber(1), 30)
    .option("--keep-watched", "also rank items that the user has already watched", false)
    .option("--index <folder>", "find candidates by an index of this model; the items then have no probabilities", path)
    .addOption(
      new Option(
        "--format <form>",
        'output format; text is item:probability,item:probability,… with the titles of items, if known, as item "title":probability; with --index, scores take the place of probabilities',
      )
        .choices(["jsonl", "text"])
        .default("jsonl"),
    );
  return withEngineFlags(withLogFlags(command)).action(async (folder: string, log: string, flags: Flags) => {
    const { top, keepWatched, format, index: indexFolder, onBadLine, maxLineBytes, ...engine } = flags;
    const model = await openModel(folder, engine);
    const index = indexFolder === undefined ? undefined : await openIndex(indexFolder, model);
    const options = { top, keepWatched, index, onBadLine, maxLineBytes, ...LOG_MESSAGES };
    const writer = new LineWriter();
    for await (const shortlist of recommend(model, log, options)) {
      await writer.write(format === "text" ? formatShortlist(shortlist) : JSON.stringify(shortlist));
    }
    await writer.flush();
  });
}

function formatShortlist({ items }: Shortlist): string {
  const texts = items.map(({ item, title, score, probability }) => {
    const name = title === undefined ? item : `${item} ${JSON.stringify(title)}`;
    return `${name}:${(probability ?? score).toFixed(6)}`;
  });
  return texts.join(",");
}
