import { Command, Option } from "commander";
import {
  type MinedFileOptions,
  type MinedForm,
  type MinedList,
  type MinedReport,
  type MineOptions,
  type Model,
  minedLine,
  minePopular,
  mineSimilar,
  mineUsers,
  openIndex,
  openModel,
  ShortlistError,
  writeMinedPopular,
  writeMinedSimilar,
  writeMinedUsers,
} from "../index.js";
import { type EngineFlags, type LogFlags, path, wholeNumber, withEngineFlags, withLogFlags } from "./options.js";
import { LineWriter, LOG_MESSAGES, say } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags extends EngineFlags, LogFlags {
  readonly top: number;
  readonly users?: string;
  readonly items?: string;
  readonly log?: string;
  readonly index?: string;
  readonly output?: string;
  readonly format: MinedForm;
  readonly resume: boolean;
}

/** A subcommand: the lists that it prints, and the function that writes them to a file. */
interface Miner<Options extends MineOptions> {
  readonly options: (flags: Flags, model: Model) => Options | Promise<Options>;
  readonly lists: (model: Model, options: Options) => AsyncIterable<MinedList>;
  readonly write: (model: Model, options: Options & MinedFileOptions) => Promise<MinedReport>;
}

export function mineCommand(): Command {
  const command = new Command("mine").description("mine shortlists of users, popular items or similar items");
  const users = withLogFlags(new Command("users"))
    .description("make a shortlist for each user, from the user id alone or from the histories in a log")
    .option("--users <file>", "file of user ids, one per line (default: all)", path)
    .option("--log <log>", "click log with the histories and features of the users", path)
    .option(
      "--index <folder>",
      "find candidates by an index of this model; the items then have no probabilities",
      path,
    );
  const popular = new Command("popular").description("list the most clicked items of the training log");
  const similar = new Command("similar")
    .description("list the most similar items of each item, by the cosine of their output weights")
    .option("--items <file>", "file of items, one per line (default: all)", path);
  command.addCommand(
    withMineFlags(users, {
      options: async ({ top, users, log, index, onBadLine, maxLineBytes }, model) => ({
        ...{ top, users, log, onBadLine, maxLineBytes, ...LOG_MESSAGES },
        index: index === undefined ? undefined : await openIndex(index, model),
      }),
      lists: mineUsers,
      write: writeMinedUsers,
    }),
  );
  command.addCommand(
    withMineFlags(popular, { options: ({ top }) => ({ top }), lists: minePopular, write: writeMinedPopular }),
  );
  const options = ({ top, items }: Flags) => ({ top, items });
  command.addCommand(withMineFlags(similar, { options, lists: mineSimilar, write: writeMinedSimilar }));
  return command;
}

function withMineFlags<Options extends MineOptions>(command: Command, miner: Miner<Options>): Command {
  command
    .argument("<model>", "model folder", path)
    .option("--top <n>", "length of the lists", wholeNumber(1), 30)
    .option("--output <file>", "file to write, which appears when it is complete (default: standard output)", path)
    .addOption(
      new Option("--format <form>", "JSON lines; id, tab, item:number,item:number,…; or, with --output, Parquet")
        .choices(["jsonl", "text", "parquet"])
        .default("jsonl"),
    )
    .option("--resume", "continue an interrupted run with the same --output and options", false);
  return withEngineFlags(command).action(async (folder: string, flags: Flags) => {
    const { executor, threads, output, format, resume } = flags;
    if (output === undefined && (format === "parquet" || resume)) {
      const flag = resume ? "--resume" : "--format parquet";
      throw new ShortlistError("ERR_OPTION", `Expected a file for ${flag}: add --output`);
    }
    using model = await openModel(folder, { executor, threads });
    const options = await miner.options(flags, model);
    if (output === undefined)
      return await printLists(miner.lists(model, options), format === "text" ? "text" : "jsonl");
    whenStopped(() => `${output} is unchanged. The same command with --resume continues.`);
    const file = { output, format, resume, onProgress: progressLines() };
    const { lists, resumed } = await miner.write(model, { ...options, ...file });
    say(`${output}: ${lists} lists${resumed > 0 ? `, ${resumed} of them by an interrupted run` : ""}`);
  });
}

async function printLists(lists: AsyncIterable<MinedList>, format: "jsonl" | "text"): Promise<void> {
  const writer = new LineWriter();
  let made = 0;
  // Before the listener that ends the process.
  process.stdout.prependListener("error", ({ code }: NodeJS.ErrnoException) => {
    if (code === "EPIPE")
      say(`stopped: the reader closed standard output before all lists were written (${made} made)`);
  });
  for await (const list of lists) {
    made++;
    await writer.write(minedLine(list, format));
  }
  await writer.flush();
}

const SECONDS_BETWEEN_LINES = 10;

/** Prints a line every few seconds. */
function progressLines(): (progress: MinedReport) => void {
  const started = performance.now();
  let last = started;
  return ({ lists, resumed }) => {
    const now = performance.now();
    if (now - last < SECONDS_BETWEEN_LINES * 1000) return;
    last = now;
    say(`${lists} lists, ${Math.round(((lists - resumed) * 1000) / (now - started))} lists/s`);
  };
}
