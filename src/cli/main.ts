#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { Command, CommanderError } from "commander";
import { removeUnfinished, ShortlistError } from "../index.js";
import { compareCommand } from "./compare.js";
import { describeError, describeOutputError } from "./errors.js";
import { evaluateCommand } from "./evaluate.js";
import { exportCommand } from "./export.js";
import { extendCommand } from "./extend.js";
import { indexCommand } from "./index_build.js";
import { inspectCommand } from "./inspect.js";
import { mineCommand } from "./mine.js";
import { say } from "./output.js";
import { prepareCommand } from "./prepare.js";
import { recommendCommand } from "./recommend.js";
import { reportCommand } from "./report.js";
import { serveCommand } from "./serve.js";
import { simulateCommand } from "./simulate.js";
import { stopOnSignals } from "./stop.js";
import { trainCommand } from "./train.js";
import { tuneCommand } from "./tune.js";
import { updateCommand } from "./update.js";
import { vectorsCommand } from "./vectors.js";

const packageFile = new URL("../../package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(packageFile, "utf8")) as { version: string };

const program = new Command("shortlist")
  .description("From a click log to shortlists: trains and serves the first stage of a recommender.")
  .version(version)
  .showHelpAfterError("(add --help for the options)")
  .exitOverride();

for (const command of [
  simulateCommand(),
  prepareCommand(),
  trainCommand(),
  updateCommand(),
  tuneCommand(),
  evaluateCommand(),
  extendCommand(),
  recommendCommand(),
  vectorsCommand(),
  indexCommand(),
  exportCommand(),
  mineCommand(),
  inspectCommand(),
  reportCommand(),
  compareCommand(),
  serveCommand(),
]) {
  program.addCommand(command);
}
inheritSettings(program);

/** Makes subcommands handle errors like the program. */
function inheritSettings(command: Command): void {
  for (const inner of command.commands) inheritSettings(inner.copyInheritedSettings(command));
}

stopOnSignals();
// The reader of a pipe may close it (`| head`). Any other error is reported, such as a full disk.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  removeUnfinished();
  process.exit(error.code === "EPIPE" ? 0 : report(new ShortlistError("ERR_FILE", describeOutputError(error))));
});
// Without standard error there is no way to report anything.
process.stderr.on("error", () => {});
// Errors outside of the command's own promise, such as those in a callback.
process.on("uncaughtException", (error) => {
  removeUnfinished();
  process.exit(report(error));
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Prints an error in one line, and returns the exit code: 2 for wrong usage, 1 for anything else. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  say(`error: ${describeError(error)}`);
  if (process.env["SHORTLIST_STACK"]) say(inspect(error));
  return 1;
}
