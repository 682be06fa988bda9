import { type Clicks, holdOutLastClicks } from "../data/clicks.js";
import type { Dataset } from "../data/dataset.js";
import { checkLog, type Log, sourceOf } from "../data/sources/log.js";
import type { ReportedLogOptions } from "../data/sources/read_log.js";
import { ShortlistError } from "../errors.js";
import { type Evaluation, type EvaluationSet, encodeTestLog, hasKnownTarget, hasNewTarget } from "./evaluate.js";

/** What the passes of a training are compared by: each user's last click, or the last clicks of a log of its own. */
export type Validation = HeldOutValidation | LogValidation;

/** Each user's last click is held out from training, of users with at least two, and is the target. */
export interface HeldOutValidation {
  readonly heldOut: "last-clicks";
}

/** The last click of each user of a log is the target; nothing is learnt from that log. */
export interface LogValidation {
  /** A log, or the path of a click log. */
  readonly log: Log;
}

/** Throws ERR_OPTION unless `value` says what to validate on. */
export function checkValidation(value: unknown): void {
  const { heldOut, log, ...others } = (typeof value === "object" && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  const given = [heldOut, log].filter((member) => member !== undefined);
  if (given.length === 1 && Object.keys(others).length === 0 && (heldOut === undefined || heldOut === "last-clicks")) {
    if (log !== undefined) checkLog("validation.log", log);
    return;
  }
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected validation to be { heldOut: "last-clicks" } or { log: … } but received ${JSON.stringify(value)}`,
  );
}

/** What a session trains on, and what its passes are evaluated on. */
export interface ValidationData {
  readonly trainingClicks: Clicks;
  /** Whether the last clicks of the dataset are held out from training. */
  readonly heldOut: boolean;
  readonly evaluationSet: EvaluationSet;
}

/**
 * Reads what `validation` names. ERR_DATASET or ERR_LOG where no target is known, or where every target stands in its
 * user's history, so that no pass could be better than another; errors of a log are those of `readLog`.
 */
export async function openValidation(
  validation: Validation,
  dataset: Dataset,
  options: ReportedLogOptions = {},
): Promise<ValidationData> {
  const { clicks, folder } = dataset;
  if ("log" in validation) {
    const evaluationSet = await encodeTestLog(validation.log, dataset, options);
    if (!hasNewTarget(evaluationSet)) {
      throw new ShortlistError("ERR_LOG", `${sourceOf(validation.log).name}: ${NO_NEW_TARGET}`);
    }
    return { trainingClicks: clicks, heldOut: false, evaluationSet };
  }
  const evaluationSet = { clicks, minClicks: 2 };
  if (!hasKnownTarget(evaluationSet)) {
    throw new ShortlistError(
      "ERR_DATASET",
      `${folder}: There is nothing to hold out: no user has two clicks of which the last is a known item`,
    );
  }
  if (!hasNewTarget(evaluationSet)) throw new ShortlistError("ERR_DATASET", `${folder}: ${NO_NEW_TARGET}`);
  return { trainingClicks: holdOutLastClicks(clicks), heldOut: true, evaluationSet };
}

const NO_NEW_TARGET =
  "There is nothing to validate on: every last click that is known stands in its user's history, which no shortlist holds. Train without validation, and evaluate with --keep-watched";

/** What passes are compared by: larger is better. */
export function criterionOf({ ndcg }: Evaluation): number {
  return ndcg["10"]!;
}
