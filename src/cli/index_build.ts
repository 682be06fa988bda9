import { Command, Option } from "commander";
import { buildIndex, type IndexDescription, type IndexProgress, type IndexSpace, openModel } from "../index.js";
import {
  type EngineFlags,
  type LogFlags,
  path,
  positiveShare,
  wholeNumber,
  withEngineFlags,
  withLogFlags,
} from "./options.js";
import { LOG_MESSAGES, say, warn } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags extends EngineFlags, LogFlags {
  readonly output: string;
  readonly minimumRecall: number;
  readonly top: number;
  readonly users?: string;
  readonly space: IndexSpace | "auto";
  readonly connectivity: number;
  readonly expansion: number;
}

export function indexCommand(): Command {
  const build = new Command("build")
    .description("build an index over the items of a model, and measure its recall against an exact scan")
    .argument("<model>", "model folder", path)
    .requiredOption("--output <folder>", "folder to write", path)
    .option("--minimum-recall <share>", "smallest recall with which an index is written", positiveShare, 0.95)
    .option("--top <n>", "length of the shortlists whose recall is measured", wholeNumber(1), 100)
    .option("--users <log>", "click log with users to measure (default: histories drawn at random)", path)
    .addOption(
      new Option("--space <name>", "vectors as they are, their SIMPLE-LSH transform, or the better of both")
        .choices(["auto", "inner_product", "simple_lsh"])
        .default("auto"),
    )
    .option("--connectivity <n>", "neighbours of each item in the graph", wholeNumber(2, 4096), 16)
    .option("--expansion <n>", "candidates for the neighbours of an item", wholeNumber(1, 4096), 128);
  withEngineFlags(withLogFlags(build)).action(async (folder: string, flags: Flags) => {
    const { executor, threads, ...options } = flags;
    whenStopped(() => `${options.output} is unchanged.`);
    using model = await openModel(folder, { executor, threads });
    sayBuilt(options.output, await buildIndex(model, { ...options, ...LOG_MESSAGES, onProgress: progressLines() }));
  });
  return new Command("index").description("indexes for approximate search").addCommand(build);
}

function sayBuilt(output: string, built: IndexDescription): void {
  const { items, space, searchWidth, top, recall, users, usersFrom, queriesPerSecond, exactQueriesPerSecond } = built;
  const [found, scanned] = [Math.round(queriesPerSecond), Math.round(exactQueriesPerSecond)];
  say(`${output}: ${items} items, ${space}, search width ${searchWidth}`);
  say(
    `recall@${top} ${recall.toFixed(4)} of ${users} users (${usersFrom}), ${found} searches/s, exact scan ${scanned}/s`,
  );
  if (usersFrom !== "log") warn("random histories may have another recall than your users: give some with --users");
  if (queriesPerSecond <= exactQueriesPerSecond) warn("the exact scan is as fast as this index, and misses nothing");
}

const SECONDS_BETWEEN_LINES = 10;

/** Prints a line every few seconds. */
function progressLines(): (progress: IndexProgress) => void {
  let last = performance.now();
  return ({ space, items, of }) => {
    if (performance.now() - last < SECONDS_BETWEEN_LINES * 1000) return;
    last = performance.now();
    say(`${space}: ${items} of ${of} items`);
  };
}
