import { type Dataset, testLogOf } from "../data/dataset.js";
import type { Log } from "../data/sources/log.js";
import type { ReportedLogOptions } from "../data/sources/read_log.js";
import { ShortlistError } from "../errors.js";
import type { Model } from "../model/model.js";
import { LAST_CLICKS } from "../model/training_record.js";
import {
  checkItems,
  encodeTestLog,
  evaluateUsers,
  type RankingOptions,
  trainingClicksOf,
  type UserEvaluation,
} from "../train/evaluate.js";

/** The users on which models are measured: those of a log, or of the clicks that are held out of a dataset. */
export interface HeldOut {
  /** What the users are, for people to read. */
  readonly name: string;
  /** Whether they are all users of the dataset, with their last clicks. */
  readonly isLastClicks: boolean;
  /** Evaluates a model on these users. */
  readonly evaluate: (model: Model, options: RankingOptions) => Promise<UserEvaluation>;
}

/** The users of a log; the target is the last click of each. With `dataset`, transitions are measured too. */
export function heldOutOfLog(
  log: Log,
  name: string,
  dataset: Dataset | undefined,
  logOptions: ReportedLogOptions,
): HeldOut {
  return {
    name,
    isLastClicks: false,
    evaluate: async (model, options) => {
      if (dataset) checkItems(model, dataset);
      const set = await encodeTestLog(log, model.description, logOptions);
      const trainingClicks = dataset && trainingClicksOf(model, dataset);
      return evaluateUsers(model, set, { ...options, trainingClicks });
    },
  };
}

/**
 * The users of a dataset on which its models can be measured: those of its test log or, without one, all users with
 * their last click, which `train --validation last` holds out. With `transitions`, that baseline is measured too.
 */
export async function heldOutOf(
  dataset: Dataset,
  logOptions: ReportedLogOptions,
  { transitions }: { readonly transitions: boolean },
): Promise<HeldOut> {
  const { folder, clicks } = dataset;
  const test = await testLogOf(folder, { signal: logOptions.signal });
  if (test !== undefined)
    return heldOutOfLog(test, "the clicks that prepare held out", transitions ? dataset : undefined, logOptions);
  return {
    name: "each user's last click",
    isLastClicks: true,
    evaluate: async (model, options) => {
      checkItems(model, dataset);
      checkHoldsOut(model, folder);
      const trainingClicks = transitions ? trainingClicksOf(model, dataset) : undefined;
      return evaluateUsers(model, { clicks, minClicks: 2 }, { ...options, trainingClicks });
    },
  };
}

function checkHoldsOut({ description }: Model, folder: string): void {
  if (description.training.heldOut === LAST_CLICKS) return;
  throw new ShortlistError(
    "ERR_DATASET",
    `${folder}: There are no clicks to measure on: the dataset has no test log, and the model was trained on the last clicks. Prepare the dataset with --holdout, train with --validation last, or give a test log`,
  );
}
