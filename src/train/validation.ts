import { type Clicks, holdOutLastClicks } from "../data/clicks.js";
import type { Dataset } from "../data/dataset.js";
import { exists } from "../data/files.js";
import type { ReportedLogOptions } from "../data/sources/read_log.js";
import { ShortlistError } from "../errors.js";
import { LAST_CLICKS } from "../model/training_record.js";
import { type Evaluation, type EvaluationSet, encodeTestLog, hasKnownTarget, hasNewTarget } from "./evaluate.js";

/** What training reads and what it is judged by. */
export interface Validation {
  readonly trainingClicks: Clicks;
  /** Whether the last clicks of the dataset are held out from training. */
  readonly heldOut: boolean;
  readonly evaluationSet: EvaluationSet;
}

/**
 * `source` is "last", where each user's last click (of users with at least two) is held out from training, or a click log,
 * whose last clicks are the targets and from which nothing is learnt. ERR_FILE where it is neither, ERR_DATASET or ERR_LOG
 * where no target is known, or where every target stands in its user's history, so that no pass could be better than another.
 */
export async function openValidation(
  source: string,
  dataset: Dataset,
  options: ReportedLogOptions = {},
): Promise<Validation> {
  const { clicks, folder } = dataset;
  if (source !== LAST_CLICKS) {
    if (!(await exists(source))) {
      throw new ShortlistError(
        "ERR_FILE",
        `Expected validation to be "${LAST_CLICKS}" or a click log but there is no file ${source}`,
      );
    }
    const evaluationSet = await encodeTestLog(source, dataset, options);
    if (!hasNewTarget(evaluationSet)) throw new ShortlistError("ERR_LOG", `${source}: ${NO_NEW_TARGET}`);
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

/** What validation goes by. */
export function criterionOf({ ndcg }: Evaluation): number {
  return ndcg["10"]!;
}
