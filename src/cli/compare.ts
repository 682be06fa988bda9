import { Command } from "commander";
import { type Comparison, compareModels } from "../index.js";
import {
  type EngineFlags,
  type LogFlags,
  path,
  paths,
  seedNumber,
  wholeNumber,
  wholeNumbers,
  withEngineFlags,
  withLogFlags,
} from "./options.js";
import { alignText, formatTable, LOG_MESSAGES, print, say, writeJson } from "./output.js";

interface Flags extends EngineFlags, LogFlags {
  readonly test?: string;
  readonly dataset?: string;
  readonly top: number[];
  readonly keepWatched: boolean;
  readonly resamples: number;
  readonly seed: number;
  readonly json: boolean;
  readonly output?: string;
}

export function compareCommand(): Command {
  const command = new Command("compare")
    .description("compare models on the same users, with confidence intervals and the differences from the first model")
    .argument("<models...>", "model folders, the one to compare with first", paths)
    .option("--test <log>", "click log to compare on; the last click of each line is the target", path)
    .option(
      "--dataset <folder>",
      "dataset of all models; without --test, compares on its test log or on each user's last click",
      path,
    )
    .option("--top <list>", "shortlist lengths K to measure", wholeNumbers, [10, 50, 100, 200])
    .option("--keep-watched", "also rank items that the user has already watched", false)
    .option("--resamples <n>", "number of resamples of the users for the intervals", wholeNumber(100, 1_000_000), 1000)
    .option("--seed <n>", "random seed of the resamples", seedNumber, 1)
    .option("--json", "print one JSON object", false)
    .option("--output <file>", "also write a page: an HTML file", path);
  return withEngineFlags(withLogFlags(command)).action(async (models: string[], flags: Flags) => {
    const { test, top, json, ...rest } = flags;
    const comparison = await compareModels(models, { ...rest, testLog: test, tops: top, ...LOG_MESSAGES });
    if (json) await writeJson(comparison);
    else await print(`${formatComparison(comparison)}\n`);
    if (flags.output !== undefined) say(`The page is ${flags.output}`);
  });
}

function formatComparison({ on, users, models, differences, resamples, seed }: Comparison): string {
  const number = (value: number) => value.toFixed(4);
  const signed = (value: number) => `${value < 0 ? "-" : value > 0 ? "+" : ""}${number(Math.abs(value))}`;
  const [first, ...others] = models;
  const names = Object.keys(first!.metrics);
  const cells = (estimate: { mean: number; low: number; high: number }, format: (value: number) => string) => [
    format(estimate.mean),
    `${format(estimate.low)} … ${format(estimate.high)}`,
  ];
  const table = formatTable([
    [
      "",
      ...models.flatMap((_, i) => [`[${i + 1}]`, "95 %"]),
      ...others.flatMap((_, i) => [`[${i + 2}] − [1]`, "95 %"]),
    ],
    ...names.map((name) => [
      name,
      ...models.flatMap(({ metrics }) => cells(metrics[name]!, number)),
      ...others.flatMap(({ metrics }) => cells(metrics[name]!.difference!, signed)),
    ]),
  ]);
  const columns = models.map((_, i) => `[${i + 1}]`);
  const settings = differences.map(({ name, values }) => [
    name,
    ...values.map((value) => (value === null ? "–" : text(value))),
  ]);
  return [
    ...models.map(({ folder, items }, i) => `[${i + 1}] ${folder}: ${items} items`),
    `${users} users, ${on}; intervals by ${resamples} resamples of the users (seed ${seed})`,
    "",
    table,
    "",
    settings.length === 0 ? "The configurations are the same" : alignText([["setting", ...columns], ...settings]),
    "",
    formatTable([["training", ...columns], ...costRows(models)]),
  ].join("\n");
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function costRows(models: Comparison["models"]): string[][] {
  const row = (name: string, value: (cost: Comparison["models"][number]["cost"]) => number | undefined, digits = 0) => [
    name,
    ...models.map(({ cost }) => value(cost)?.toFixed(digits) ?? "–"),
  ];
  return [
    row("seconds", ({ seconds }) => seconds, 1),
    row("steps", ({ steps }) => steps),
    row("samples/s", ({ samples, seconds }) => (samples && seconds ? samples / seconds : undefined)),
    row("kept epoch", ({ keptEpoch }) => keptEpoch),
    row("MiB of weights", ({ weightBytes }) => weightBytes / 2 ** 20, 1),
  ];
}
