import { type Clicks, hasFollowingClick } from "../data/clicks.js";
import { type Dataset, withoutNewItems } from "../data/dataset.js";
import { doubtOfSingleClicks } from "../data/doubts.js";
import { type Log, sourceOf } from "../data/sources/log.js";
import type { ReportedLogOptions } from "../data/sources/read_log.js";
import { ShortlistError } from "../errors.js";
import type { ModelConfig } from "../model/config.js";
import { type EvaluationSet, encodeTestLog } from "./evaluate.js";
import { countTrainedTargets } from "./trained_targets.js";
import { openValidation, type Validation, validationIdOf } from "./validation.js";

/** The clicks that a session trains on, and those that it is evaluated on. */
export interface TrainingData {
  readonly dataset: Dataset;
  /** The dataset without its new items, which are not trained. */
  readonly trained: Dataset;
  /** The clicks of the dataset, without those that are held out. */
  readonly clicks: Clicks;
  /** Whether each user's last click is held out from training. */
  readonly heldOut: boolean;
  /** The clicks on which each epoch is evaluated. */
  readonly validation?: EvaluationSet | undefined;
  /** Id of the dataset, or its sizes if it has none. */
  readonly datasetId: string;
  /** What `validationIdOf` returns. */
  readonly validationId: string;
  /** The clicks on which the finished model is evaluated. Their items may be new ones. */
  readonly test?: EvaluationSet | undefined;
}

/** Options of `openTrainingData`; see `SessionOptions`. */
export interface TrainingDataOptions extends ReportedLogOptions {
  readonly validation?: Validation | undefined;
  readonly testLog?: Log | undefined;
  /**
   * If given, and if the dataset grew, only the clicks are targets that were added last and, for each of them, so many of
   * the same user's clicks before them. Undefined: all clicks are targets.
   */
  readonly replay?: number | undefined;
}

/**
 * Reads the logs to evaluate on, and checks that this configuration can be trained on the dataset. Throws ERR_DATASET
 * if there is nothing to learn or to hold out, ERR_CONFIG if the configuration needs click times that the dataset
 * lacks, and the errors of `openValidation` and `encodeTestLog`. Warns if evaluation targets are also training targets.
 */
export async function openTrainingData(
  dataset: Dataset,
  config: ModelConfig,
  options: TrainingDataOptions,
): Promise<TrainingData> {
  const { testLog, replay, onWarning } = options;
  if (replay !== undefined) checkNewValidation(options.validation, dataset);
  checkTimes(config, dataset);
  const trained = withoutNewItems(dataset);
  const validation = options.validation && (await openValidation(options.validation, trained, options));
  const test = testLog === undefined ? undefined : await encodeTestLog(testLog, dataset, options);
  const { trainingClicks, heldOut } = validation ?? { trainingClicks: dataset.clicks, heldOut: false };
  const clicks = replay === undefined ? trainingClicks : withNewTargets(trainingClicks, dataset, replay);
  checkFollowing(dataset, clicks, heldOut);
  for (const doubt of doubtOfSingleClicks(clicks)) onWarning?.(`${dataset.folder}: ${doubt}`);
  if (test) await warnOfTrainedTargets(testLog!, test.clicks, clicks, options);
  if (validation && options.validation && "log" in options.validation) {
    await warnOfTrainedTargets(options.validation.log, validation.evaluationSet.clicks, clicks, options);
  }
  const set = validation?.evaluationSet;
  const validationId = validationIdOf(options.validation, set);
  return { dataset, datasetId: idOf(dataset), trained, clicks, heldOut, validation: set, validationId, test };
}

/** The id of a dataset; in an older format its sizes, which most other datasets do not share. */
function idOf({ id, clicks, vocabularies }: Dataset): string {
  const sizes = [...vocabularies].map(([name, { size }]) => `${name}=${size}`);
  return id ?? [`users=${clicks.users}`, `clicks=${clicks.clicks}`, ...sizes].join();
}

/**
 * The clicks of a dataset that grew. Targets are the n clicks of each user that were added last, and the ⌊replay · n + ½⌋
 * clicks before them, whose histories are read in any case. All clicks are targets if the dataset did not grow.
 */
function withNewTargets(clicks: Clicks, { knownClicks }: Dataset, replay: number): Clicks {
  if (!knownClicks) return clicks;
  const targets = clicks.itemFeatures[0]!.ids.slice();
  for (let user = 0; user < clicks.users; user++) {
    const [start, end] = [clicks.clickOffsets[user]!, clicks.clickOffsets[user + 1]!];
    const known = start + knownClicks[user]!;
    targets.fill(0, start, Math.max(start, known - Math.round(replay * (end - known))));
  }
  return { ...clicks, targets };
}

/** Throws ERR_OPTION if clicks on which the earlier model was trained would be held out. */
function checkNewValidation(validation: Validation | undefined, { folder, knownClicks }: Dataset): void {
  if (!knownClicks || !validation || !("heldOut" in validation)) return;
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected a log for validation: most users' last clicks in ${folder} are ones that the earlier model was trained on`,
  );
}

/** Throws ERR_DATASET unless some user has a click that can be predicted from an earlier one. */
function checkFollowing({ folder }: Dataset, clicks: Clicks, heldOut: boolean): void {
  if (hasFollowingClick(clicks)) return;
  throw new ShortlistError(
    "ERR_DATASET",
    `${folder}: There is nothing to learn from: no click on a known item follows another click of its user${heldOut ? " (held-out clicks do not count)" : ""}. A line must have all clicks of a user, oldest first; if items are rare, lower --feature-appear-limit`,
  );
}

async function warnOfTrainedTargets(
  log: Log,
  test: Clicks,
  training: Clicks,
  { onWarning, signal }: Pick<ReportedLogOptions, "onWarning" | "signal">,
): Promise<void> {
  const trained = await countTrainedTargets(test, training, signal);
  if (trained === 0) return;
  onWarning?.(
    `${sourceOf(log).name}: ${trained} of ${test.users} targets are trained on (same user, same clicks before), so this log does not test the model. Prepare the dataset without them, or hold them out: --validation last, { heldOut: "last-clicks" }`,
  );
}

/**
 * Throws ERR_CONFIG if the configuration uses the age of examples but the clicks have no times, or all the same time.
 */
function checkTimes({ exampleAge }: ModelConfig, { folder, clicks: { times } }: Dataset): void {
  if (!exampleAge || (times && times.earliest < times.latest)) return;
  const problem = !times
    ? "its schema has none"
    : Number.isNaN(times.latest)
      ? "no click has a time"
      : "all clicks have the same time";
  throw new ShortlistError(
    "ERR_CONFIG",
    `"exampleAge" needs times of clicks that differ but ${folder} has none (${problem}). Give the clicks a field of kind "time", or set exampleAge=false`,
  );
}
