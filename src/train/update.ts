import { resolve } from "node:path";
import { type PreparedDataset, prepareDataset } from "../data/dataset.js";
import type { GrowthOptions } from "../data/grow.js";
import { checkLogs, type Log } from "../data/sources/log.js";
import { type PrepareTablesOptions, prepareTables } from "../data/tables/prepare_tables.js";
import type { TableSource } from "../data/tables/table_source.js";
import { checkOptions, checkPath, ShortlistError } from "../errors.js";
import { withModelFolder } from "../model/model.js";
import { checkTrainOptions, TRAIN_OPTIONS, type TrainOptions, type TrainReport, train } from "./trainer.js";
import { UnfinishedTraining } from "./unfinished.js";

/**
 * Options of `update`. Those of `train` hold for its training. The log options apply to all logs. With `resume`, the
 * dataset grows once more, to the same bytes, and then the training goes on.
 */
export interface UpdateOptions extends Omit<TrainOptions, "from" | "preset">, GrowthOptions {
  /** Folder of the model to update. It stays as it is, unless it is also `output`. */
  readonly model: string;
  /** Folder of the dataset that the model was trained on, which has the earlier clicks of the users. */
  readonly dataset: string;
  /** Folder to write the dataset with the new clicks to. It is the `dataset` of the next update. */
  readonly outputDataset: string;
  /** Logs, or paths of click logs, with the clicks that came since. Either logs or tables are required. */
  readonly logs?: readonly Log[] | undefined;
  /** Tables with the events that came since, like those of `prepareTables`. */
  readonly source?: TableSource | undefined;
  /** A file with the content of standard input, for the path `-` of a table. */
  readonly standardInput?: string | undefined;
  /** Called with what was found out about the tables, before they are read. */
  readonly onUnderstood?: PrepareTablesOptions["onUnderstood"];
  /** Called when the dataset with the new clicks is written. */
  readonly onDataset?: ((dataset: PreparedDataset) => void) | undefined;
}

const { from: _, preset: __, ...OF_TRAINING } = TRAIN_OPTIONS;
const UPDATE_OPTIONS: Readonly<Record<keyof UpdateOptions, true>> = {
  ...OF_TRAINING,
  model: true,
  outputDataset: true,
  logs: true,
  source: true,
  standardInput: true,
  halfLife: true,
  history: true,
  evictAfter: true,
  onUnderstood: true,
  onDataset: true,
};

/** Result of `update`. */
export interface UpdateReport extends TrainReport {
  /** The dataset with the new clicks. */
  readonly dataset: PreparedDataset;
}

/**
 * Updates a model by clicks that came since: adds them to the dataset that the model was trained on, as `prepareDataset`
 * and `prepareTables` do with `from`, and trains the model on them, as `train` does with `from`. The grown dataset is
 * written first. If the training is interrupted after that, the same call with `resume` goes on from its last checkpoint.
 * Throws the errors of these functions, and ERR_OPTION if the grown dataset would replace the old one, to which a second
 * try would add the same clicks again.
 */
export async function update(options: UpdateOptions): Promise<UpdateReport> {
  checkOptions("update", options, UPDATE_OPTIONS);
  const { model, dataset, outputDataset, logs, source, standardInput, halfLife, history, evictAfter, ...others } =
    options;
  const { onUnderstood, onDataset, ...training } = others;
  for (const [name, folder] of Object.entries({ model, dataset, outputDataset })) checkPath(name, folder);
  checkPath("output", training.output);
  checkTrainOptions(training);
  if (resolve(dataset) === resolve(outputDataset)) {
    throw new ShortlistError(
      "ERR_OPTION",
      "Expected another folder for the grown dataset than that of the old one: a second try would add the same clicks again",
    );
  }
  if ((logs === undefined) === (source === undefined)) {
    throw new ShortlistError("ERR_OPTION", "Expected either logs or a source with the new clicks");
  }
  const { onBadLine, maxLineBytes, onWarning, signal } = training;
  const growth = { from: dataset, halfLife, history, evictAfter, output: outputDataset, onBadLine, onWarning, signal };
  if (logs !== undefined) checkLogs("logs", logs);
  // `train` looks again. A refusal should not wait until the dataset has grown.
  await withModelFolder(training.output, (folder) => UnfinishedTraining.open(folder, training.output, training));
  const grown = logs
    ? await prepareDataset({ ...growth, logs, maxLineBytes, threads: training.threads })
    : await prepareTables({ ...growth, source: source!, standardInput, onUnderstood });
  onDataset?.(grown);
  return { ...(await train({ ...training, dataset: outputDataset, from: model })), dataset: grown };
}
