import { Command } from "commander";
import { minePopular, mineSimilar, mineUsers, openModel } from "../index.js";
import { type EngineFlags, type LogFlags, path, wholeNumber, withEngineFlags, withLogFlags } from "./options.js";
import { LineWriter, LOG_MESSAGES } from "./output.js";

interface Flags extends EngineFlags, LogFlags {
  readonly top: number;
  readonly users?: string;
  readonly items?: string;
  readonly log?: string;
}

export function mineCommand(): Command {
  const command = new Command("mine").description(
    "offline mining: shortlists of known users, popular items, similar items (JSON lines)",
  );
  const add = (sub: Command, mine: (folder: string, flags: Flags) => AsyncIterable<unknown>) => {
    withEngineFlags(
      sub.argument("<model>", "model folder", path).option("--top <n>", "length of the lists", wholeNumber(1), 30),
    );
    command.addCommand(sub.action((folder: string, flags: Flags) => writeLines(mine(folder, flags))));
  };
  add(
    withLogFlags(new Command("users"))
      .description("a shortlist for each user, from the user id alone or from real histories")
      .option("--users <file>", "user ids, one a line (default: all)", path)
      .option("--log <log>", "click log with the users' histories and features", path),
    async function* (folder, { top, users, log, onBadLine, maxLineBytes, ...engine }) {
      const logOptions = { onBadLine, maxLineBytes, ...LOG_MESSAGES };
      yield* mineUsers(await openModel(folder, engine), { top, users, log, ...logOptions });
    },
  );
  add(
    new Command("popular").description("the most clicked items of the training log"),
    async function* (folder, { top, ...engine }) {
      yield* minePopular(await openModel(folder, engine), { top });
    },
  );
  add(
    new Command("similar")
      .description("the nearest items of each item, by the cosine of their output weights")
      .option("--items <file>", "items, one a line (default: all)", path),
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
