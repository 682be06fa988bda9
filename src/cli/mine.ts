import { Command } from "commander";
import { minePopular, mineSimilar, mineUsers, openIndex, openModel } from "../index.js";
import { type EngineFlags, type LogFlags, path, wholeNumber, withEngineFlags, withLogFlags } from "./options.js";
import { LineWriter, LOG_MESSAGES } from "./output.js";

interface Flags extends EngineFlags, LogFlags {
  readonly top: number;
  readonly users?: string;
  readonly items?: string;
  readonly log?: string;
  readonly index?: string;
}

export function mineCommand(): Command {
  const command = new Command("mine").description(
    "mine shortlists of users, popular items or similar items, as JSON lines",
  );
  const add = (sub: Command, mine: (folder: string, flags: Flags) => AsyncIterable<unknown>) => {
    withEngineFlags(
      sub.argument("<model>", "model folder", path).option("--top <n>", "length of the lists", wholeNumber(1), 30),
    );
    command.addCommand(sub.action((folder: string, flags: Flags) => writeLines(mine(folder, flags))));
  };
  add(
    withLogFlags(new Command("users"))
      .description("print a shortlist for each user, from the user id alone or from the histories in a log")
      .option("--users <file>", "file of user ids, one per line (default: all)", path)
      .option("--log <log>", "click log with the histories and features of the users", path)
      .option(
        "--index <folder>",
        "find candidates by an index of this model; the items then have no probabilities",
        path,
      ),
    async function* (folder, { top, users, log, index: indexFolder, onBadLine, maxLineBytes, ...engine }) {
      const logOptions = { onBadLine, maxLineBytes, ...LOG_MESSAGES };
      const model = await openModel(folder, engine);
      const index = indexFolder === undefined ? undefined : await openIndex(indexFolder, model);
      yield* mineUsers(model, { top, users, log, index, ...logOptions });
    },
  );
  add(
    new Command("popular").description("print the most clicked items of the training log"),
    async function* (folder, { top, ...engine }) {
      yield* minePopular(await openModel(folder, engine), { top });
    },
  );
  add(
    new Command("similar")
      .description("print the most similar items of each item, by the cosine of their output weights")
      .option("--items <file>", "file of items, one per line (default: all)", path),
    async function* (folder, { top, items, ...engine }) {
      yield* mineSimilar(await openModel(folder, engine), { top, items });
    },
  );
  return command;
}

async function writeLines(lines: AsyncIterable<unknown>): Promise<void> {
  const writer = new LineWriter();
  for await (const line of lines) await writer.write(JSON.stringify(line));
  await writer.flush();
}
