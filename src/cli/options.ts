import { existsSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { AppearLimit, CheckpointEvery, Validation } from "../index.js";
import { warn } from "./output.js";

/** Returns a commander parser of whole numbers from `min` to `max`. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      const limit = max < Number.MAX_SAFE_INTEGER ? `${min} to ${max}` : `at least ${min}`;
      throw new InvalidArgumentError(`Expected a whole number of ${limit}.`);
    }
    return value;
  };
}

/** Parses the path of a file or folder. Refuses an empty text, which would mean the current folder. */
export function path(text: string): string {
  if (text === "") throw new InvalidArgumentError("Expected a path but received an empty text.");
  return text;
}

/** `path` for an argument that can be given several times. */
export function paths(text: string, before: readonly string[] = []): string[] {
  return [...before, path(text)];
}

/**
 * Parses what epochs are evaluated on: `last`, or the path of a click log. (A log with the name last is given as
 * ./last.)
 */
export function validation(text: string): Validation {
  if (path(text) === "last") return { heldOut: "last-clicks" };
  if (!existsSync(text)) {
    throw new InvalidArgumentError(`Expected "last" or a click log but there is no file ${text}.`);
  }
  return { log: text };
}

export function finiteNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
}

/** Parses a share above 0 and up to 1. */
export function positiveShare(text: string): number {
  const value = finiteNumber(text);
  if (value <= 0 || value > 1) throw new InvalidArgumentError("Expected a number above 0 and up to 1.");
  return value;
}

/** Parses a list of distinct whole numbers, such as `10,50,100`, and sorts it. */
export function wholeNumbers(text: string): number[] {
  const values = text.split(",").map(wholeNumber(1));
  return [...new Set(values)].sort((a, b) => a - b);
}

/**
 * Parses appear limits: one for all features, such as `20` or `auto`, or some by feature, such as `item=5,tags=20`. The
 * flag may be repeated.
 */
export function appearLimit(text: string, before?: AppearLimit): AppearLimit {
  const limitOf = (value: string) => (value === "auto" ? value : wholeNumber(0)(value));
  if (!text.includes("=")) return limitOf(text);
  const pairs = text.split(",").map((pair) => {
    const [, name, value] = /^([^=]+)=(.+)$/.exec(pair) ?? [];
    if (!name) throw new InvalidArgumentError("Expected a limit, or limits of features such as item=5,tags=20.");
    return [name, limitOf(value!)] as const;
  });
  return { ...(typeof before === "object" && before), ...Object.fromEntries(pairs) };
}

const SECONDS = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** Parses a duration such as `90s`, `30m` or `1.5h` to seconds. */
export function duration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|[smh])$/.exec(text) ?? [];
  if (!unit) throw new InvalidArgumentError("Expected a duration such as 90s, 30m or 1.5h.");
  return Number(number) * SECONDS[unit as keyof typeof SECONDS];
}

/** Parses when checkpoints are written: `epoch`, `never`, a duration such as `10m`, or a number of steps. */
export function checkpointEvery(text: string): CheckpointEvery {
  if (text === "epoch" || text === "never") return text;
  if (/^[1-9]\d*(?: ?steps?)?$/.test(text)) return { steps: Number.parseInt(text, 10) };
  if (!/^[\d.]+(?:ms|[smh])$/.test(text)) {
    throw new InvalidArgumentError("Expected epoch, never, a duration such as 10m, or a number of steps such as 1000.");
  }
  return { seconds: duration(text) };
}

/** Parses the number of epochs over which the learning rate falls, or `auto`. */
export function targetEpochs(text: string): number | "auto" {
  return text === "auto" ? text : wholeNumber(1)(text);
}

export const seedNumber = wholeNumber(0, 2 ** 32 - 1);

/** Flags for the number of epochs. */
export interface EpochFlags {
  readonly set: readonly string[];
  readonly epochs?: number;
  readonly passes?: number;
}

/** Adds `--epochs`, and its former name `--passes`, which the help does not show. */
export function withEpochFlags(command: Command, description: string): Command {
  const parser = wholeNumber(1);
  return command
    .option("--epochs <n>", description, parser)
    .addOption(new Option("--passes <n>").argParser(parser).conflicts("epochs").hideHelp());
}

/** Returns the flags under their current names, and warns about each former name. */
export function withCurrentNames<Flags extends EpochFlags>({ passes, ...flags }: Flags): Omit<Flags, "passes"> {
  if (passes !== undefined) warn("--passes is called --epochs now");
  const set = flags.set.map((assignment) => assignment.replace(/^passes=/, "epochs="));
  if (set.some((assignment, i) => assignment !== flags.set[i])) warn('"passes" of --set is called "epochs" now');
  return { ...flags, set, ...(passes !== undefined && { epochs: passes }) };
}

/** Flags of all commands that read a click log. */
export interface LogFlags {
  readonly onBadLine: "fail" | "skip";
  readonly maxLineBytes?: number;
}

export function withLogFlags(command: Command): Command {
  return command
    .addOption(
      new Option("--on-bad-line <what>", "fail at a malformed line, or skip and report it")
        .choices(["fail", "skip"])
        .default("fail"),
    )
    .option(
      "--max-line-bytes <n>",
      "longest line in bytes (default: as the dataset was prepared, else 16777216)",
      wholeNumber(1),
    );
}

/** Flags of all commands that run a Program. */
export interface EngineFlags {
  readonly executor: "native" | "reference";
  readonly threads?: number;
}

export function withEngineFlags(command: Command): Command {
  return command
    .addOption(
      new Option("--executor <kind>", "the native engine, or the slow TypeScript engine that defines the results")
        .choices(["native", "reference"])
        .default("native"),
    )
    .option(
      "--threads <n>",
      "threads of the native engine (default: SHORTLIST_THREADS, else all processors)",
      wholeNumber(1, 1024),
    );
}
