import { Command, Option } from "commander";
import { PRESETS, readConfig, readSpace, type Trial, tune } from "../index.js";
import {
  duration,
  type EngineFlags,
  type EpochFlags,
  path,
  seedNumber,
  wholeNumber,
  withCurrentNames,
  withEngineFlags,
  withEpochFlags,
} from "./options.js";
import { say, warn, writeJson } from "./output.js";
import { TrainingProgress } from "./progress.js";
import { whenStopped } from "./stop.js";

interface Flags extends EngineFlags, EpochFlags {
  readonly space: string;
  readonly output: string;
  readonly trials: number;
  readonly halvings: number;
  readonly eta: number;
  readonly budget?: number;
  readonly preset: string;
  readonly config?: string;
  readonly seed: number;
  readonly json: boolean;
}

export function tuneCommand(): Command {
  const command = new Command("tune")
    .description("search for the best configuration: train random ones and compare NDCG@10 on held-out last clicks")
    .argument("<dataset>", "dataset folder, written by prepare", path)
    .requiredOption(
      "--space <file>",
      "JSON file with the values or range to search for each configuration key; see docs/tune.md",
      path,
    )
    .requiredOption(
      "--output <folder>",
      "folder for trials.jsonl, table.md and best.json; an interrupted search in it continues",
      path,
    )
    .option("--budget <time>", "time for all trials, such as 90s, 30m or 2h (default: no limit)", duration)
    .option("--trials <n>", "number of random settings in the first rung", wholeNumber(1), 16)
    .option("--halvings <n>", "number of rungs after the first; the last one trains for all epochs", wholeNumber(0), 2)
    .option(
      "--eta <n>",
      "each rung keeps the best 1/eta and trains them for eta times as many epochs",
      wholeNumber(2),
      2,
    )
    .addOption(
      new Option("--preset <name>", "configuration to start from").choices(Object.keys(PRESETS)).default("default"),
    )
    .option("--config <file>", "JSON file with configuration keys that replace those of the preset", path)
    .option("--set <key=value...>", "single configuration keys with fixed values", []);
  withEpochFlags(command, "number of epochs in the last rung")
    .option("--seed <n>", "random seed of the drawn settings and of every training", seedNumber, 1)
    .option("--json", "print one JSON object with the best trial, its configuration and all trials", false);
  return withEngineFlags(command).action(async (dataset: string, flags: Flags) => {
    const { space, config, budget, epochs, set, json, ...rest } = withCurrentNames(flags);
    const progress = new TrainingProgress(process.stderr);
    whenStopped(() => `Finished trials stay in ${flags.output}: run the same command again to continue the search.`);
    try {
      const report = await tune({
        ...rest,
        dataset,
        space: await readSpace(space),
        set: [...set, ...(epochs === undefined ? [] : [`epochs=${epochs}`])],
        budgetSeconds: budget,
        ...(config !== undefined && { config: await readConfig(config, { onWarning: warn }) }),
        onProgress: (state) => progress.update(state),
        onTrial: (trial, { rungs, trials }) => {
          progress.stop();
          say(`rung ${trial.rung}/${rungs} of ${trials} trials, ${formatTrial(trial)}`);
        },
      });
      if (json) await writeJson(report);
      if (report.outOfBudget)
        say("Trials were left out to stay within the budget: run again with a larger one to continue.");
      say(
        `${flags.output}: the best of ${report.trials.length}, ${formatTrial(report.best)}. It was chosen by this NDCG: measure it on other clicks`,
      );
    } finally {
      progress.stop();
    }
  });
}

function formatTrial({ trial, epochs, settings, seconds, validation, failed }: Trial): string {
  const drawn = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  const outcome = validation
    ? `HitRate@10 ${validation.hitRate["10"]!.toFixed(4)}, NDCG@10 ${validation.ndcg["10"]!.toFixed(4)}`
    : `failed: ${failed}`;
  return `trial ${trial} (${drawn.join(" ")}): ${outcome}; ${epochs} ${epochs === 1 ? "epoch" : "epochs"}, ${seconds.toFixed(1)} s`;
}
