#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { ShortlistError } from "../index.js";
import { evaluateCommand } from "./evaluate.js";
import { extendCommand } from "./extend.js";
import { inspectCommand } from "./inspect.js";
import { mineCommand } from "./mine.js";
import { say } from "./output.js";
import { prepareCommand } from "./prepare.js";
import { recommendCommand } from "./recommend.js";
import { simulateCommand } from "./simulate.js";
import { trainCommand } from "./train.js";
import { tuneCommand } from "./tune.js";
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
  tuneCommand(),
  evaluateCommand(),
  extendCommand(),
  recommendCommand(),
  vectorsCommand(),
  mineCommand(),
  inspectCommand(),
]) {
  program.addCommand(command.copyInheritedSettings(program));
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong and returns the exit code: 2 for wrong usage, 1 for anything else. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof ShortlistError) {
    say(`error: ${error.message}`);
    return 1;
  }
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return 1;
}
