import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { DATASET, openDataset } from "../data/dataset.js";
import { replaceFile } from "../data/files.js";
import { withOutputFiles, withOutputFolder } from "../data/output_folder.js";
import { LOG_OPTIONS, logOptionsOf, type ReportedLogOptions } from "../data/sources/read_log.js";
import { checkChoice, checkOptions, checkPath } from "../errors.js";
import { ENGINE_OPTIONS, type EngineOptions, engineOptionsOf } from "../executors/index.js";
import { MODEL, type Model, type ModelDescription, openModel, REPORT, readModel } from "../model/model.js";
import type { Evaluation } from "../train/evaluate.js";
import { readHistory } from "../train/history.js";
import { heldOutOf } from "./held_out.js";
import { type ItemNeighbours, neighboursOf } from "./neighbours.js";
import { formatPage } from "./page_file.js";
import { reportPage } from "./report_page.js";

/** Options of `writeReport`. The inherited log options apply to the test log of the dataset. */
export interface ReportOptions extends EngineOptions, ReportedLogOptions {
  /**
   * Folder of the dataset that the model was trained on. If given, the model and the baselines of popularity and of
   * transitions are measured on the clicks that are held out of it.
   */
  readonly dataset?: string | undefined;
  /** File to write (default: `report.html` in the model folder). */
  readonly output?: string | undefined;
  /**
   * Leaves out the neighbours of items if the weights have more than 64 MB, which take a while to read (default false).
   */
  readonly quick?: boolean | undefined;
}

const REPORT_OPTIONS: Readonly<Record<keyof ReportOptions, true>> = {
  dataset: true,
  output: true,
  quick: true,
  ...ENGINE_OPTIONS,
  ...LOG_OPTIONS,
};

/** Result of `writeReport`. */
export interface WrittenReport {
  /** The file that was written. */
  readonly output: string;
  /** The evaluation on the held-out clicks of the option `dataset`. Undefined without it. */
  readonly evaluation?: Evaluation | undefined;
}

/** Everything that a report shows. */
export interface ReportContents {
  /** Name of the model folder. */
  readonly name: string;
  readonly description: ModelDescription;
  readonly history: Awaited<ReturnType<typeof readHistory>>;
  /** What was measured for this report. */
  readonly measured: MeasuredEvaluation | undefined;
  /** Undefined if they were left out. */
  readonly neighbours: readonly ItemNeighbours[] | undefined;
}

/** An evaluation, and on which users it was made. */
export interface MeasuredEvaluation {
  readonly on: string;
  readonly evaluation: Evaluation;
  /** Whether these are the clicks on which training validated its epochs. */
  readonly isValidation: boolean;
}

const QUICK_BYTES = 64 * 2 ** 20;

/**
 * Writes a page about a model, one HTML file that loads nothing else: how training went and why it ended, metrics beside
 * baselines, where the time went, what was left out in preparation, which items are recommended, and the neighbours of
 * some of them. The file appears whole or not at all. Throws ERR_MODEL if the folder is no model, ERR_DATASET if the
 * dataset is not that of the model or nothing is held out of it, and ERR_BUSY if another process is writing the output.
 */
export async function writeReport(folder: string, options: ReportOptions = {}): Promise<WrittenReport> {
  checkOptions("writeReport", options, REPORT_OPTIONS);
  checkPath("folder", folder);
  const { dataset, output, quick = false, signal } = options;
  checkChoice("quick", quick, [true, false]);
  if (dataset !== undefined) checkPath("dataset", dataset);
  signal?.throwIfAborted();
  const write = async (path: string) => {
    const contents = await contentsOf(folder, options);
    const page = formatPage(reportPage(contents));
    await replaceFile(path, (file) => file.writeFile(page));
    return { output: path, evaluation: contents.measured?.evaluation };
  };
  if (output !== undefined) return withOutputFiles([output], [MODEL, DATASET], () => write(output));
  await readModel(folder, signal);
  return withOutputFolder(folder, { ...MODEL, allowsOthers: true }, (target) => write(join(target, REPORT)));
}

async function contentsOf(folder: string, options: ReportOptions): Promise<ReportContents> {
  const { dataset, quick = false, signal } = options;
  const name = basename(resolve(folder));
  const history = await readHistory(folder);
  if (dataset === undefined && quick && (await weightBytes(folder)) > QUICK_BYTES) {
    const { description } = await readModel(folder, signal);
    return { name, description, history, measured: undefined, neighbours: undefined };
  }
  const model = await openModel(folder, { ...engineOptionsOf(options), signal });
  try {
    const measured = dataset === undefined ? undefined : await measure(model, dataset, options);
    const neighbours = await neighboursOf(model, signal);
    return { name, description: model.description, history, measured, neighbours };
  } finally {
    model.close();
  }
}

async function weightBytes(folder: string): Promise<number> {
  return stat(join(folder, "model.safetensors")).then(
    ({ size }) => size,
    () => 0,
  );
}

async function measure(model: Model, folder: string, options: ReportOptions): Promise<ReportContents["measured"]> {
  const { signal } = options;
  const dataset = await openDataset(folder, { signal });
  const heldOut = await heldOutOf(dataset, logOptionsOf(options), { transitions: true });
  const { evaluation } = await heldOut.evaluate(model, { signal });
  const isValidation = heldOut.isLastClicks && model.description.training.validation !== undefined;
  return { on: heldOut.name, evaluation, isValidation };
}
