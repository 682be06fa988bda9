import { existsSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Validation } from "../index.js";

/** A parser of whole numbers of at least `min`, for commander. */
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

/** The path of a file or folder: anything but an empty text, which would stand for the current folder. */
export function path(text: string): string {
  if (text === "") throw new InvalidArgumentError("Expected a path but received an empty text.");
  return text;
}

/** `path` for an argument that may be given several times. */
export function paths(text: string, before: readonly string[] = []): string[] {
  return [...before, path(text)];
}

/** What passes are compared by: `last`, or the path of a click log. A log that is named last is given as ./last. */
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

/** A list of distinct whole numbers, such as `10,50,100`. */
export function wholeNumbers(text: string): number[] {
  const values = text.split(",").map(wholeNumber(1));
  return [...new Set(values)].sort((a, b) => a - b);
}

const SECONDS = { s: 1, m: 60, h: 3600 };

/** A duration such as `90s`, `30m` or `1.5h`, in seconds. */
export function duration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([smh])$/.exec(text) ?? [];
  if (!unit) throw new InvalidArgumentError("Expected a duration such as 90s, 30m or 1.5h.");
  return Number(number) * SECONDS[unit as keyof typeof SECONDS];
}

export const seedNumber = wholeNumber(0, 2 ** 32 - 1);

/** The flags of every command that reads a click log. */
export interface LogFlags {
  readonly onBadLine: "fail" | "skip";
  readonly maxLineBytes?: number;
}

export function withLogFlags(command: Command): Command {
  return command
    .addOption(
      new Option("--on-bad-line <what>", "stop at a malformed line, or leave it out and list it")
        .choices(["fail", "skip"])
        .default("fail"),
    )
    .option(
      "--max-line-bytes <n>",
      "longest line that is taken for a user's (default: what the dataset was prepared with, else 16777216)",
      wholeNumber(1),
    );
}

/** The flags of every command that runs a Program. */
export interface EngineFlags {
  readonly executor: "native" | "reference";
  readonly threads?: number;
}

export function withEngineFlags(command: Command): Command {
  return command
    .addOption(
      new Option("--executor <kind>", "the native engine, or the TypeScript reference that defines it")
        .choices(["native", "reference"])
        .default("native"),
    )
    .option(
      "--threads <n>",
      "threads of the native engine (default: SHORTLIST_THREADS, else all processors)",
      wholeNumber(1, 1024),
    );
}
