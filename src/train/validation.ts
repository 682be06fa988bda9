import { createHash } from "node:crypto";
import { type Clicks, holdOutLastClicks } from "../data/clicks.js";
import type { Dataset } from "../data/dataset.js";
import { checkLog, type Log, sourceOf } from "../data/sources/log.js";
import type { ReportedLogOptions } from "../data/sources/read_log.js";
import { ShortlistError } from "../errors.js";
import { type Evaluation, type EvaluationSet, encodeTestLog, hasKnownTarget, hasNewTarget } from "./evaluate.js";

/**
 * The clicks on which the epochs of a training are compared: held-out clicks of the dataset, or the last clicks of a
 * separate log.
 */
export type Validation = HeldOutValidation | LogValidation;

/** The last click of each user with at least two clicks is held out from training and is the target. */
export interface HeldOutValidation {
  readonly heldOut: "last-clicks";
}

/** The last click of each user of this log is the target. The network is not trained on this log. */
export interface LogValidation {
  /** A log, or the path of a click log. */
  readonly log: Log;
}

/** Throws ERR_OPTION unless `value` is a `Validation`. */
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

/** What `validationIdOf` returns without validation, and for held-out clicks. */
export const NO_VALIDATION = "none";
export const LAST_CLICKS_ID = "last-clicks";

/** Identifies what the epochs of a training are compared on: the name of the way, or a hash of the clicks of a log. */
export function validationIdOf(validation: Validation | undefined, set: EvaluationSet | undefined): string {
  if (!validation || !set) return NO_VALIDATION;
  if (!("log" in validation)) return LAST_CLICKS_ID;
  const { clickOffsets, itemFeatures, userFeatures, numbers, searches = [], clickNumbers = [] } = set.clicks;
  const arrays = [
    clickOffsets,
    ...[...itemFeatures, ...userFeatures].flatMap(({ ids, offsets }) => [ids, offsets]),
    ...[...numbers, ...clickNumbers].map(({ values }) => values),
    ...searches.flatMap(({ queryOffsets, offsets, ids, before }) => [queryOffsets, offsets, ids, before]),
  ];
  const hash = createHash("sha256");
  for (const values of arrays) {
    if (values) hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest("hex");
}

/** The clicks that a session trains on, and those on which its epochs are evaluated. */
export interface ValidationData {
  readonly trainingClicks: Clicks;
  /** Whether the last clicks of the dataset are held out from training. */
  readonly heldOut: boolean;
  readonly evaluationSet: EvaluationSet;
}

/**
 * Reads the validation clicks. Throws ERR_DATASET or ERR_LOG if no target is a known item, or if every known target is
 * already in its user's history, so that all epochs would score alike. Throws the errors of `readLog` for a log.
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
  "There is nothing to validate on: every last click on a known item is already in its user's history, so that no shortlist has it. Train without validation, and evaluate with --keep-watched";

/** The number by which epochs are compared; larger is better. */
export function criterionOf({ ndcg }: Evaluation): number {
  return ndcg["10"]!;
}
