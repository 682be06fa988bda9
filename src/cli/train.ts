import { Command, Option } from "commander";
import { PRESETS, readConfig, train } from "../index.js";
import { formatEvaluation } from "./evaluate.js";
import { type EngineFlags, seedNumber, wholeNumber, withEngineFlags } from "./options.js";
import { say, writeJson } from "./output.js";
import { TrainingProgress } from "./progress.js";

interface Flags extends EngineFlags {
  readonly output: string;
  readonly preset: string;
  readonly config?: string;
  readonly set: readonly string[];
  readonly test?: string;
  readonly window?: number;
  readonly batch?: number;
  readonly passes?: number;
  readonly steps?: number;
  readonly seed: number;
  readonly json: boolean;
}

export function trainCommand(): Command {
  const command = new Command("train")
    .description("train a model on a dataset")
    .argument("<dataset>", "dataset folder, written by prepare")
    .requiredOption("--output <model>", "model folder to write, with the model after each pass in pass-1, pass-2, …")
    .addOption(
      new Option("--preset <name>", "configuration to start from").choices(Object.keys(PRESETS)).default("default"),
    )
    .option("--config <file>", "JSON with configuration keys that differ from the preset's")
    .option(
      "--set <key=value...>",
      "single configuration keys, such as learningRate=0.01 or embeddingWidths.item=32",
      [],
    )
    .option("--test <log>", "evaluate on this log after training; the last click of each line is the target")
    .option("--window <n>", "clicks of history that a prediction reads", wholeNumber(1))
    .option("--batch <n>", "samples in a batch", wholeNumber(1))
    .option("--passes <n>", "times to read the dataset", wholeNumber(1))
    .option("--steps <n>", "stop after this many steps", wholeNumber(1))
    .option("--seed <n>", "random seed; the same seed gives the same model, bit for bit", seedNumber, 1)
    .option("--json", "print one JSON object with the speed and the loss", false);
  return withEngineFlags(command).action(async (dataset: string, flags: Flags) => {
    const { config, test, window, batch, passes, ...rest } = flags;
    const shortcuts = Object.entries({ window, batchSize: batch, passes })
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key}=${value}`);
    const progress = new TrainingProgress(process.stderr);
    try {
      const report = await train({
        ...rest,
        dataset,
        set: [...flags.set, ...shortcuts],
        ...(config && { config: await readConfig(config) }),
        ...(test && { testLog: test }),
        onProgress: (state) => progress.update(state),
      });
      progress.stop();
      if (report.evaluation) say(formatEvaluation(report.evaluation));
      const { evaluation: _, ...speed } = report;
      if (flags.json) await writeJson(speed);
      else
        say(
          `${flags.output}: loss ${report.loss.toFixed(4)}, ${Math.round(report.samplesPerSecond)} samples/s (${report.threads} threads, ${report.isa})`,
        );
    } finally {
      progress.stop();
    }
  });
}
