import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import {
  type CheckpointEvery,
  PRESETS,
  readConfig,
  type TrainingProfile,
  type TrainOptions,
  type TrainReport,
  testLogOf,
  train,
  type Validation,
  writeReport,
} from "../index.js";
import { formatEvaluation } from "./evaluate.js";
import {
  checkpointEvery,
  type EngineFlags,
  type EpochFlags,
  finiteNumber,
  type LogFlags,
  path,
  seedNumber,
  targetEpochs,
  validation,
  wholeNumber,
  withCurrentNames,
  withEngineFlags,
  withEpochFlags,
  withLogFlags,
} from "./options.js";
import { formatTable, LOG_MESSAGES, print, say, warn, writeJson } from "./output.js";
import { TrainingProgress } from "./progress.js";
import { stoppable } from "./stop.js";

/** Flags of commands that train. */
export interface CheckpointFlags {
  readonly checkpointEvery: CheckpointEvery;
  readonly resume: boolean;
  readonly restart: boolean;
  /** False with --no-report. */
  readonly report: boolean;
}

interface Flags extends EngineFlags, LogFlags, EpochFlags, CheckpointFlags {
  readonly output: string;
  readonly from?: string;
  readonly replay?: number;
  readonly keepState?: boolean;
  readonly preset?: string;
  readonly config?: string;
  readonly validation?: Validation;
  readonly patience?: number;
  readonly targetEpochs?: number | "auto";
  /** False with --no-test. */
  readonly test?: string | false;
  readonly window?: number;
  readonly windows?: string;
  readonly batching?: string;
  readonly precision?: string;
  readonly batch?: number;
  readonly steps?: number;
  readonly seed: number;
  readonly tensorboard?: string;
  readonly profile: boolean;
  readonly json: boolean;
}

/** What `--replay` does. */
export const REPLAY_HELP =
  "train also on so many of a user's last earlier clicks for each new one, so that the model does not forget (default: 1.5)";

/** Longer than other functions: it is the list of the flags. */
export function trainCommand(): Command {
  const command = new Command("train")
    .description("train a model on a dataset")
    .argument("<dataset>", "dataset folder, written by prepare", path)
    .requiredOption(
      "--output <model>",
      "model folder to write, with the model after each epoch in epoch-1, epoch-2, …",
      path,
    )
    .addOption(
      new Option("--preset <name>", "configuration to start from (default: default)").choices(Object.keys(PRESETS)),
    )
    .option(
      "--from <model>",
      "model to go on from, on a dataset that grew (prepare --from): its rows and configuration stay, and the clicks that were added are trained on",
      path,
    )
    .option("--replay <x>", `with --from, ${REPLAY_HELP}`, finiteNumber)
    .option("--keep-state", "write the optimizer's state to the model folder, for a later --from")
    .option("--config <file>", "JSON file with configuration keys that replace those of the preset", path)
    .option(
      "--set <key=value...>",
      "single configuration keys, such as learningRate=0.01 or embeddingWidths.item=32; flags such as --window win over them",
      [],
    )
    .option(
      "--validation <what>",
      "after every epoch, evaluate on each user's last click, held out from training (last), or on the last clicks of a " +
        "click log; the model of the epoch with the best NDCG@10 is kept",
      validation,
    )
    .option(
      "--patience <n>",
      "with --validation, stop after this many epochs without a better NDCG@10; 0 never stops (default: 2)",
      wholeNumber(0),
    )
    .option(
      "--target-epochs <n>",
      "number of epochs over which the learning rate falls (default: --epochs); auto: with --validation, first find out " +
        "how many epochs are best, and then train with so many",
      targetEpochs,
    )
    .option(
      "--test <log>",
      "evaluate on this log after training; the last click of each line is the target (default: test.tsv of the dataset, if prepare held clicks out)",
      path,
    )
    .option("--no-test", "do not evaluate after training")
    .option("--window <n>", "clicks of history that a prediction reads", wholeNumber(1))
    .addOption(
      new Option("--windows <kind>", "growing: a prediction reads the last window to 2 · window clicks").choices([
        "sliding",
        "growing",
      ]),
    )
    .addOption(
      new Option(
        "--batching <kind>",
        "separate samples in random order, or parts of users whose samples share work",
      ).choices(["shuffled", "shared"]),
    )
    .addOption(
      new Option("--precision <kind>", "precision of the operands of matrix products").choices(["float32", "bf16"]),
    )
    .option("--batch <n>", "number of samples in a batch", wholeNumber(1));
  withEpochFlags(command, "number of times that training goes through the dataset (with --from: 2)")
    .option("--steps <n>", "stop after this many steps", wholeNumber(1))
    .option("--seed <n>", "random seed; the same seed gives the same model, bit for bit", seedNumber, 1);
  withCheckpointFlags(command)
    .option(
      "--tensorboard <folder>",
      "write event files for TensorBoard: loss, learning rate, speed, and metrics beside those of the baselines",
      path,
    )
    .option("--profile", "print the time of each instruction", false)
    .option(
      "--json",
      "print one JSON object with the speed, the loss, the evaluation of the best epoch and the profile",
      false,
    );
  return withEngineFlags(withLogFlags(command)).action(runTraining);
}

/** Adds the flags of checkpoints and of the report. */
export function withCheckpointFlags(command: Command): Command {
  return command
    .option(
      "--checkpoint-every <when>",
      "write a checkpoint after every epoch (epoch), so many steps (1000) or some time (10m), or never",
      checkpointEvery,
      "epoch",
    )
    .addOption(
      new Option("--resume", "continue an unfinished training with the same options, as if it had never been stopped")
        .default(false)
        .conflicts("restart"),
    )
    .option("--restart", "give up an unfinished training in the output folder, and begin anew", false)
    .option("--no-report", "do not write report.html, a page about the training, into the model folder");
}

/** What `stoppableTraining` gives a training. */
type TrainingCallbacks = typeof LOG_MESSAGES &
  Required<
    Pick<TrainOptions, "signal" | "onProgress" | "onResume" | "onCheckpoint" | "onEpoch" | "onPilotEpoch" | "onPilot">
  >;

/**
 * Runs a training into `output` and prints its progress. At Ctrl-C or a similar signal it writes a checkpoint, and a line
 * tells how to go on; `atFirst` tells what stays as long as no epoch is finished. Returns undefined then.
 */
export async function stoppableTraining<T>(
  output: string,
  atFirst: () => string,
  work: (callbacks: TrainingCallbacks) => Promise<T>,
): Promise<T | undefined> {
  const progress = new TrainingProgress(process.stderr);
  let [finished, checkpoint] = [0, 0];
  const whatStays = () => {
    if (checkpoint + finished > 0 && !existsSync(join(output, "unfinished"))) {
      return `The model in ${output} is complete, but was not evaluated.`;
    }
    if (checkpoint > 0) {
      return `The training up to step ${checkpoint} stays in ${output}/unfinished. The same command with --resume goes on.`;
    }
    return finished === 0
      ? atFirst()
      : `The epochs up to ${finished} are finished and stay in ${output}/unfinished (epoch-1, …).`;
  };
  return stoppable(whatStays, (signal) =>
    work({
      ...LOG_MESSAGES,
      signal,
      onProgress: (state) => progress.update(state),
      onResume: ({ step, epoch }) => {
        checkpoint = step;
        say(`${output}: the training goes on after step ${step}, in epoch ${epoch}`);
      },
      onPilotEpoch: (result) => progress.endEpoch(result, "at the full learning rate, "),
      onPilot: ({ bestEpoch }) => {
        progress.stop();
        say(`${bestEpoch} epochs are best; the training begins, with a learning rate that falls over them`);
      },
      onCheckpoint: ({ step }) => {
        checkpoint = step;
      },
      onEpoch: (result) => {
        progress.endEpoch(result);
        finished = result.epoch;
      },
    }).finally(() => progress.stop()),
  );
}

async function runTraining(dataset: string, flags: Flags): Promise<void> {
  const {
    config,
    test: given,
    window,
    windows,
    batching,
    precision,
    batch,
    set,
    epochs,
    json,
    report: hasReport,
    ...rest
  } = withCurrentNames(flags);
  const shortcuts = Object.entries({ window, windows, batching, precision, batchSize: batch, epochs })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value}`);
  const test = await testLogFor(dataset, given);
  if (!rest.resume && existsSync(join(flags.output, "config.json"))) {
    say(`${flags.output} holds a model, which stays as it is until this training is finished`);
  }
  const atFirst = () => `No epoch was finished; ${flags.output} is unchanged.`;
  const report = await stoppableTraining(flags.output, atFirst, async (callbacks) =>
    train({
      ...rest,
      ...callbacks,
      dataset,
      set: [...set, ...shortcuts],
      ...(config !== undefined && { config: await readConfig(config, { onWarning: warn }) }),
      testLog: test,
    }),
  );
  if (!report) return;
  if (hasReport) await writePage(flags);
  await printReport(report, { ...flags, test });
}

/** Writes the page about the training. Whatever prevents it, the model is trained. */
export async function writePage({
  output,
  executor,
  threads,
}: EngineFlags & { readonly output: string }): Promise<void> {
  await writeReport(output, { executor, threads, quick: true }).catch((error: Error) => {
    warn(`${error.message}. The model is complete; shortlist report ${output} writes its report`);
  });
}

/** The log of --test or, unless it is --no-test, the log of the clicks that prepare held out of the dataset. */
async function testLogFor(dataset: string, test: string | false | undefined): Promise<string | undefined> {
  if (test !== undefined) return test === false ? undefined : test;
  const found = await testLogOf(dataset);
  if (found !== undefined) say(`The model is evaluated on ${found}, the clicks that prepare held out (--no-test)`);
  return found;
}

export async function printReport(
  report: TrainReport,
  {
    output,
    test,
    json,
  }: { readonly output: string; readonly test?: string | false | undefined; readonly json: boolean },
): Promise<void> {
  if (report.validation) {
    say(`epoch ${report.validation.epoch} of ${report.epochs} is kept; on the held-out clicks of validation:`);
    say(formatEvaluation(report.validation));
  }
  if (report.evaluation) {
    if (report.validation) say(`on ${test}:`);
    say(formatEvaluation(report.evaluation));
  }
  const { evaluation: _, ...speed } = report;
  if (json) return writeJson(speed);
  if (report.profile) await print(`${formatProfile(report.profile)}\n`);
  const { loss, samplesPerSecond, threads, isa } = report;
  say(`${output}: loss ${loss.toFixed(4)}, ${Math.round(samplesPerSecond)} samples/s (${threads} threads, ${isa})`);
}

/**
 * Formats the time of each instruction, slowest first. GFLOP/s and GB/s count the least work that an instruction can
 * take.
 */
function formatProfile({ steps, seconds, secondsWaited, instructions }: TrainingProfile): string {
  const share = (part: number) => `${((100 * part) / seconds).toFixed(1)} %`;
  const rate = (amount: number, time: number) => (time > 0 ? (amount / time / 1e9).toFixed(1) : "");
  const row = (label: string, calls: number | string, time: number, flops: number, bytes: number) => [
    label,
    String(calls),
    time.toFixed(3),
    share(time),
    flops > 0 ? rate(flops, time) : "",
    bytes > 0 ? rate(bytes, time) : "",
  ];
  const total = instructions.reduce(
    (sum, { seconds, flops, bytes }) => ({
      seconds: sum.seconds + seconds,
      flops: sum.flops + flops,
      bytes: sum.bytes + bytes,
    }),
    { seconds: 0, flops: 0, bytes: 0 },
  );
  return formatTable([
    ["instruction", "calls", "seconds", "share", "GFLOP/s", "GB/s"],
    ...[...instructions]
      .sort((a, b) => b.seconds - a.seconds)
      .map(({ op, outputs, calls, ...sums }) =>
        row(`${op} → ${outputs[0]}${outputs.length > 1 ? ", …" : ""}`, calls, sums.seconds, sums.flops, sums.bytes),
      ),
    row("all instructions", steps, total.seconds, total.flops, total.bytes),
    row("waiting for batches", steps, secondsWaited, 0, 0),
    row("the rest", "", seconds - total.seconds - secondsWaited, 0, 0),
  ]);
}
