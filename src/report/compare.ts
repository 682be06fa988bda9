import { stat } from "node:fs/promises";
import { join } from "node:path";
import { itemVocabulary } from "../data/clicks.js";
import { DATASET, openDataset } from "../data/dataset.js";
import { replaceFile } from "../data/files.js";
import { withOutputFiles } from "../data/output_folder.js";
import { checkLog, type Log, sourceOf } from "../data/sources/log.js";
import { LOG_OPTIONS, logOptionsOf, type ReportedLogOptions } from "../data/sources/read_log.js";
import { Turns } from "../data/turns.js";
import { checkOptions, checkPath, checkPaths, checkWholeNumber, ShortlistError } from "../errors.js";
import { createEngine, ENGINE_OPTIONS, type Engine, type EngineOptions, engineOptionsOf } from "../executors/index.js";
import { MODEL, openModel } from "../model/model.js";
import { checkSeed } from "../random/philox.js";
import {
  checkRankingOptions,
  type Evaluation,
  type EvaluationProtocol,
  type RankingOptions,
} from "../train/evaluate.js";
import { readHistory } from "../train/history.js";
import { bootstrapMeans, type Estimate, estimateOf } from "./bootstrap.js";
import { comparePage } from "./compare_page.js";
import { type HeldOut, heldOutOf, heldOutOfLog } from "./held_out.js";
import { formatPage } from "./page_file.js";

/** Options of `compareModels`. The inherited log options apply to the test log. */
export interface CompareOptions extends EngineOptions, ReportedLogOptions, RankingOptions {
  /** A log, or the path of a click log. The target is the last click of each user. */
  readonly testLog?: Log | undefined;
  /**
   * Folder of the dataset that all models were trained on. Without `testLog`, they are compared on its test log or, if
   * it has none, on each user's last click, which all of them must have held out.
   */
  readonly dataset?: string | undefined;
  /** Number of times that users are drawn for the confidence intervals (default 1000). */
  readonly resamples?: number | undefined;
  /** Seed of these draws (default 1). */
  readonly seed?: number | undefined;
  /** HTML file to which the comparison is also written as a page. */
  readonly output?: string | undefined;
}

const COMPARE_OPTIONS: Readonly<Record<keyof CompareOptions, true>> = {
  testLog: true,
  dataset: true,
  resamples: true,
  seed: true,
  output: true,
  tops: true,
  keepWatched: true,
  ...ENGINE_OPTIONS,
  ...LOG_OPTIONS,
};

/** A metric of a model, with the difference from the first model. */
export interface ComparedMetric extends Estimate {
  /** This model minus the first one, paired by user. Undefined for the first model. */
  readonly difference?: Estimate;
}

/** What the training of a model took. Unknown members are undefined. */
export interface TrainingCost {
  /** Seconds of training steps, waiting for batches included. */
  readonly seconds?: number;
  /** Number of steps. */
  readonly steps?: number;
  /** Number of samples. */
  readonly samples?: number;
  /** Number of epochs that were run. */
  readonly epochs?: number;
  /** The epoch whose weights were kept. */
  readonly keptEpoch?: number;
  /** Number of threads. */
  readonly threads?: number;
  /** Bytes of the weights. */
  readonly weightBytes: number;
}

/** A model of a comparison. */
export interface ComparedModel {
  /** The folder, as it was given. */
  readonly folder: string;
  /** Number of items that are ranked. */
  readonly items: number;
  /** Number of users whose target the model does not know. They are misses. */
  readonly unknownTargets: number;
  /** By name: `HitRate@K` and `NDCG@K` for each K, and `MRR`. */
  readonly metrics: Readonly<Record<string, ComparedMetric>>;
  /** For each K, the fraction of all items that are on at least one shortlist. */
  readonly coverage: Readonly<Record<string, number>>;
  readonly cost: TrainingCost;
}

/** A configuration key, or a member of the training record, in which models differ. */
export interface SettingDifference {
  /** The name, such as `lstmWidth` or `seed`. */
  readonly name: string;
  /** The value of each model, in order; null where it is not known. */
  readonly values: readonly unknown[];
}

/** Result of `compareModels`. */
export interface Comparison {
  /** On which users the models were measured. */
  readonly on: string;
  /** Number of these users. */
  readonly users: number;
  /** How ranks were measured. The number of items is that of each model. */
  readonly protocol: Omit<EvaluationProtocol, "rankedItems">;
  /** Number of times that users were drawn for the intervals. */
  readonly resamples: number;
  /** Seed of these draws. */
  readonly seed: number;
  readonly models: readonly ComparedModel[];
  /** The settings in which the models differ. */
  readonly differences: readonly SettingDifference[];
}

/**
 * Compares models on the same users: the metrics of each with confidence intervals of 95 %, the differences from the
 * first model, and what their configurations and trainings have not in common. The intervals come from a bootstrap over
 * users (docs/math.md#confidence-intervals); they do not tell how much another seed of training would change. Throws
 * ERR_OPTION for fewer than two models or without users to compare on, ERR_MODEL if a folder is no model, ERR_LOG if no
 * target is known to some model, and ERR_DATASET if the dataset does not fit a model.
 */
export async function compareModels(folders: readonly string[], options: CompareOptions): Promise<Comparison> {
  checkOptions("compareModels", options, COMPARE_OPTIONS);
  checkCompareOptions(folders, options);
  options.signal?.throwIfAborted();
  const { output } = options;
  if (output === undefined) return compare(folders, options);
  return withOutputFiles([output], [MODEL, DATASET], async () => {
    const comparison = await compare(folders, options);
    await replaceFile(output, (file) => file.writeFile(formatPage(comparePage(comparison))));
    return comparison;
  });
}

function checkCompareOptions(folders: readonly string[], options: CompareOptions): void {
  checkPaths("models", folders);
  const { testLog, dataset, resamples = 1000, seed = 1 } = options;
  if (folders.length < 2) {
    throw new ShortlistError("ERR_OPTION", `Expected at least two models to compare but received ${folders.length}`);
  }
  if (testLog === undefined && dataset === undefined) {
    throw new ShortlistError("ERR_OPTION", "Expected a test log or a dataset to compare on but received neither");
  }
  if (testLog !== undefined) checkLog("testLog", testLog);
  if (dataset !== undefined) checkPath("dataset", dataset);
  checkWholeNumber("resamples", resamples, 100, 1_000_000);
  checkSeed(seed);
  checkRankingOptions(options);
}

/** A model that was measured. */
interface Measured {
  readonly folder: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly evaluation: Evaluation;
  readonly ranks: readonly number[];
  readonly cost: TrainingCost;
}

async function compare(folders: readonly string[], options: CompareOptions): Promise<Comparison> {
  const { dataset: path, testLog, resamples = 1000, seed = 1, signal } = options;
  const logOptions = logOptionsOf(options);
  const heldOut =
    testLog === undefined
      ? await heldOutOf(await openDataset(path!, { signal }), logOptions, { transitions: false })
      : heldOutOfLog(testLog, sourceOf(testLog).name, undefined, logOptions);
  const engine = createEngine(engineOptionsOf(options));
  const measured: Measured[] = [];
  try {
    for (const folder of folders) measured.push(await measure(folder, heldOut, engine, options));
  } finally {
    engine.close();
  }
  checkSameUsers(measured, heldOut);
  const { rankedItems: _, ...protocol } = measured[0]!.evaluation.protocol;
  const metrics = await compareMetrics(measured, { resamples, seed }, new Turns(signal));
  return {
    ...{ on: heldOut.name, users: measured[0]!.ranks.length, protocol, resamples, seed },
    models: measured.map(({ folder, evaluation, cost }, i) => ({
      folder,
      items: evaluation.protocol.rankedItems,
      unknownTargets: evaluation.unknownTargets,
      metrics: metrics[i]!,
      coverage: evaluation.coverage,
      cost,
    })),
    differences: differencesOf(measured),
  };
}

async function measure(
  folder: string,
  heldOut: HeldOut,
  engine: Engine,
  { tops, keepWatched, signal }: CompareOptions,
): Promise<Measured> {
  const model = await openModel(folder, { engine, signal });
  try {
    const { evaluation, ranks } = await heldOut.evaluate(model, { tops, keepWatched, signal });
    const { config, training } = model.description;
    const { preset, seed, heldOut: validation, extendedItems, updates } = training;
    const items = itemVocabulary(model.description).size - 1;
    const settings = { ...config, preset, seed, heldOut: validation, extendedItems, updates, items };
    const { size: weightBytes } = await stat(join(folder, "model.safetensors"));
    return { folder, settings, evaluation, ranks, cost: await costOf(folder, training, weightBytes) };
  } finally {
    model.close();
  }
}

async function costOf(
  folder: string,
  { steps, samples, epochs }: { readonly steps?: number; readonly samples?: number; readonly epochs?: number },
  weightBytes: number,
): Promise<TrainingCost> {
  const history = await readHistory(folder);
  if (!history) {
    return {
      ...(steps !== undefined && { steps }),
      ...(samples !== undefined && { samples }),
      ...(epochs !== undefined && { epochs }),
      weightBytes,
    };
  }
  const last = history.steps.at(-1)!;
  const { keptEpoch, threads } = history;
  const run = history.epochs.length - 1 + history.epochs.at(-1)!.part;
  const { step, seconds } = last;
  return { seconds, steps: step, samples: last.samples, epochs: run, keptEpoch, threads, weightBytes };
}

function checkSameUsers(measured: readonly Measured[], heldOut: HeldOut): void {
  const [first, ...others] = measured;
  const other = others.find(({ ranks }) => ranks.length !== first!.ranks.length);
  if (!other) return;
  throw new ShortlistError(
    "ERR_LOG",
    `Expected the same users of ${heldOut.name} for all models but ${first!.folder} reads ${first!.ranks.length} and ${other.folder} ${other.ranks.length}: their schemas differ`,
  );
}

/** For each model, its metrics with intervals. */
async function compareMetrics(
  measured: readonly Measured[],
  sampling: { readonly resamples: number; readonly seed: number },
  turns: Turns,
): Promise<Record<string, ComparedMetric>[]> {
  const tops = Object.keys(measured[0]!.evaluation.ndcg).map(Number);
  const names = [...tops.map((top) => `HitRate@${top}`), ...tops.map((top) => `NDCG@${top}`), "MRR"];
  const values = measured.flatMap(({ ranks }) => [
    ...tops.map((top) => Float64Array.from(ranks, (rank) => (rank <= top ? 1 : 0))),
    ...tops.map((top) => Float64Array.from(ranks, (rank) => (rank <= top ? 1 / Math.log2(1 + rank) : 0))),
    Float64Array.from(ranks, (rank) => 1 / rank),
  ]);
  const resampled = await bootstrapMeans(values, sampling, turns);
  const means = values.map((list) => list.reduce((sum, value) => sum + value, 0) / list.length);
  return measured.map((_, m) => {
    const metrics = names.map((name, i): [string, ComparedMetric] => {
      const own = m * names.length + i;
      const estimate = estimateOf(means[own]!, resampled[own]!);
      if (m === 0) return [name, estimate];
      const differences = resampled[own]!.map((mean, r) => mean - resampled[i]![r]!);
      return [name, { ...estimate, difference: estimateOf(means[own]! - means[i]!, differences) }];
    });
    return Object.fromEntries(metrics);
  });
}

/** The settings that are not the same in all models. */
function differencesOf(measured: readonly Measured[]): SettingDifference[] {
  const names = [...new Set(measured.flatMap(({ settings }) => Object.keys(settings)))];
  return names
    .map((name) => ({ name, values: measured.map(({ settings }) => settings[name] ?? null) }))
    .filter(({ values }) => new Set(values.map((value) => JSON.stringify(value))).size > 1);
}
