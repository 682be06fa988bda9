import { LastClickBatches } from "../data/batches.js";
import { type Clicks, type EncodedLog, type Encoding, holdOutLastClicks, itemVocabulary } from "../data/clicks.js";
import { DATASET, type Dataset, withoutNewItems } from "../data/dataset.js";
import { encodeLog } from "../data/encode_log.js";
import { formatJson, replaceFile } from "../data/files.js";
import { withOutputFiles } from "../data/output_folder.js";
import { type Log, sourceOf } from "../data/sources/log.js";
import { LOG_OPTIONS, logOptionsOf, type ReportedLogOptions } from "../data/sources/read_log.js";
import { checkChoice, checkOptions, checkWholeNumber, ShortlistError } from "../errors.js";
import type { RunOutputs } from "../executors/executor.js";
import { HIGHEST_SCORE } from "../model/merge_scans.js";
import { expectModel, MODEL, type Model } from "../model/model.js";
import { checkScores } from "../model/scores.js";
import { LAST_CLICKS, type RankingMetrics } from "../model/training_record.js";
import { watchedItems } from "../model/watched.js";
import { type Exposure, ExposureTally } from "./exposure.js";
import { PopularityRanking, rankingMetrics } from "./metrics.js";
import { countTrainedTargets } from "./trained_targets.js";
import { TransitionRanking } from "./transitions.js";

/** Options for ranking the items of users. */
export interface RankingOptions {
  /** Shortlist lengths K to measure (default 10, 50, 100 and 200). */
  readonly tops?: readonly number[] | undefined;
  /** Keeps items in the ranking that the user has already watched (default false). */
  readonly keepWatched?: boolean | undefined;
  /** Stops the evaluation, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `evaluate`. The inherited log options apply to its log. */
export interface EvaluateOptions extends ReportedLogOptions, RankingOptions {
  /**
   * The dataset that the model was trained on. If given, the baseline of item-to-item transitions is measured as well;
   * its counts leave out the last clicks if training held them out.
   */
  readonly baselines?: Dataset | undefined;
  /** File to which the evaluation is also written, as JSON. */
  readonly output?: string | undefined;
}

const EVALUATE_OPTIONS: Readonly<Record<keyof EvaluateOptions, true>> = {
  ...LOG_OPTIONS,
  tops: true,
  keepWatched: true,
  baselines: true,
  output: true,
};

export function checkRankingOptions({ tops, keepWatched = false }: RankingOptions): void {
  checkChoice("keepWatched", keepWatched, [true, false]);
  if (tops === undefined) return;
  if (!Array.isArray(tops) || tops.length === 0) {
    throw new ShortlistError("ERR_OPTION", `Expected tops to be a list of whole numbers but received ${String(tops)}`);
  }
  for (const top of tops) checkWholeNumber("tops", top, 1);
}

/** What an evaluation measured (docs/evaluation.md), so that its numbers can be compared with others. */
export interface EvaluationProtocol {
  /** The target is the last click of each user; the history is the clicks before it. */
  readonly split: "last-click";
  /** Fewest clicks of a user who is evaluated, the target included. */
  readonly minClicks: number;
  /** Number of items that are ranked for each user: the whole catalogue, not a sample of it. */
  readonly rankedItems: number;
  /** Whether items of the user's history are left out of the ranking, as `recommend` leaves them out, or ranked. */
  readonly watchedItems: "left-out" | "ranked";
  /** Items with equal scores share the mean of their ranks. */
  readonly ties: "mean-rank";
  /** A target that is not in the model's vocabulary is a miss. */
  readonly unknownTargets: "misses";
}

/**
 * How well a model ranks the last clicks of users (docs/math.md#evaluation), compared with baselines without learning.
 */
export interface Evaluation extends RankingMetrics {
  /** What was measured, and how. */
  readonly protocol: EvaluationProtocol;
  /** Number of users that were evaluated. */
  readonly users: number;
  /** Number of users whose target is not in the model's vocabulary. They count as misses. */
  readonly unknownTargets: number;
  /**
   * Number of users whose target is in their own history, so that it cannot be on a shortlist without watched items.
   * They count as misses.
   */
  readonly watchedTargets: number;
  /**
   * Number of users whose target was also a training target (`countTrainedTargets`). Undefined if the training dataset
   * is not given.
   */
  readonly trainedTargets?: number;
  /** For each K, the fraction of all items that are on the shortlist of length K of at least one user. */
  readonly coverage: Record<string, number>;
  /** How the places of the shortest of these shortlists are distributed over popular and rare items. */
  readonly exposure: Exposure;
  /** Metrics of ranking all items by their number of training clicks, held-out clicks excluded. */
  readonly popularity: RankingMetrics;
  /**
   * Metrics of ranking all items by the transitions in the training dataset (`TransitionRanking`). Undefined if the
   * training dataset is not given.
   */
  readonly transitions?: RankingMetrics;
}

/**
 * Evaluates a model on a log by leave-last-out: the last click of each user is the target, and the clicks before it are
 * the history. All items are ranked, except those that the user has already watched. A target counts as a hit if
 * `recommend` would put it on the shortlist. A target that the model does not know, or that the user has watched
 * before, is a miss for the model and for the baselines. Throws ERR_LOG if no target is a known item, ERR_DATASET if
 * the dataset of the baselines has other items than the model, ERR_DIVERGED if scores are not finite, and the errors of
 * `readLog`.
 */
export async function evaluate(model: Model, log: Log, options: EvaluateOptions = {}): Promise<Evaluation> {
  checkOptions("evaluate", options, EVALUATE_OPTIONS);
  expectModel(model);
  checkRankingOptions(options);
  const { output } = options;
  if (output === undefined) return evaluateLog(model, log, options);
  return withOutputFiles([output], [MODEL, DATASET], async () => {
    const evaluation = await evaluateLog(model, log, options);
    await replaceFile(output, (file) => file.writeFile(formatJson(evaluation)));
    return evaluation;
  });
}

async function evaluateLog(model: Model, log: Log, options: EvaluateOptions): Promise<Evaluation> {
  const { baselines, tops, keepWatched, signal } = options;
  if (baselines) checkItems(model, baselines);
  const trainingClicks = baselines && trainingClicksOf(model, baselines);
  const set = await encodeTestLog(log, model.description, options);
  return evaluateClicks(model, set, { tops, keepWatched, trainingClicks, signal });
}

/** The clicks of the dataset that the model was trained on. */
export function trainingClicksOf({ description }: Model, { clicks }: Dataset): Clicks {
  return description.training.heldOut === LAST_CLICKS ? holdOutLastClicks(clicks) : clicks;
}

/** Users to evaluate. */
export interface EvaluationSet {
  /** The last click of each user is the target. */
  readonly clicks: Clicks;
  /** Users with fewer clicks are left out (default 1). */
  readonly minClicks?: number | undefined;
}

/** Throws ERR_DATASET unless ids mean the same items in the model and in the dataset. */
export function checkItems(model: Model, dataset: Dataset): void {
  if (model.items.extends(itemVocabulary(withoutNewItems(dataset)))) return;
  throw new ShortlistError(
    "ERR_DATASET",
    `${dataset.folder}: Expected the item vocabulary of the model (${model.items.size - 1} items) but received another one (${itemVocabulary(dataset).size - 1} items). Give the dataset that the model was trained on`,
  );
}

/** Reads a log to evaluate on. Throws ERR_LOG if no user's last click is a known item. */
export async function encodeTestLog(
  log: Log,
  encoding: Encoding,
  options: ReportedLogOptions = {},
): Promise<EncodedLog> {
  const encoded = await encodeLog([log], encoding, logOptionsOf(options));
  if (hasKnownTarget(encoded)) return encoded;
  throw new ShortlistError(
    "ERR_LOG",
    `${sourceOf(log).name}: The model knows none of the target items: is it a log of the same catalogue? (train --no-test trains without it)`,
  );
}

/** Whether the last click of some user is an item of the vocabulary. */
export function hasKnownTarget({ clicks, minClicks = 1 }: EvaluationSet): boolean {
  const { clickOffsets, itemFeatures } = clicks;
  const items = itemFeatures[0]!.ids;
  return clickOffsets.subarray(1).some((end, user) => end - clickOffsets[user]! >= minClicks && items[end - 1] !== 0);
}

/** Whether the last click of some user is an item of the vocabulary that the user has not clicked before. */
export function hasNewTarget({ clicks, minClicks = 1 }: EvaluationSet): boolean {
  const { clickOffsets, itemFeatures } = clicks;
  const items = itemFeatures[0]!.ids;
  return clickOffsets.subarray(1).some((end, user) => {
    const start = clickOffsets[user]!;
    const target = items[end - 1]!;
    return end - start >= minClicks && target !== 0 && !items.subarray(start, end - 1).includes(target);
  });
}

/** Options of `evaluateClicks`. */
export interface EvaluateClicksOptions extends RankingOptions {
  /**
   * The clicks that the model was trained on. If given, the baseline of item-to-item transitions is measured, and
   * targets that were also training targets are counted.
   */
  readonly trainingClicks?: Clicks | undefined;
}

/** `evaluate` for a log that is already read and encoded. */
export async function evaluateClicks(
  model: Model,
  set: EvaluationSet,
  options: EvaluateClicksOptions = {},
): Promise<Evaluation> {
  return (await evaluateUsers(model, set, options)).evaluation;
}

/** An evaluation together with the rank of each user's target. */
export interface UserEvaluation {
  readonly evaluation: Evaluation;
  /** [users] The ranks, from 1, in the order of the users that were evaluated. +∞ is a miss. */
  readonly ranks: readonly number[];
}

/** `evaluateClicks` that also returns the ranks. */
export async function evaluateUsers(
  model: Model,
  { clicks, minClicks = 1 }: EvaluationSet,
  options: EvaluateClicksOptions = {},
): Promise<UserEvaluation> {
  const { tops = [10, 50, 100, 200], keepWatched = false, trainingClicks, signal } = options;
  const { size } = model.items;
  const top = Math.min(Math.max(...tops), size - 1);
  const transitions = trainingClicks && (await TransitionRanking.count(trainingClicks, size, { signal }));
  const tally = new TargetTally(clicks, new PopularityRanking(model.items.counts), transitions);
  const exposure = new ExposureTally(tops, size);
  const { window, windows } = model.description.config;
  const batches = new LastClickBatches({ clicks, window, windows });
  const prepare = (index: number) => {
    const first = batches.firstUser(index);
    const { inputs, dims } = batches.batch(index);
    const watched = watchedItems(clicks, first, dims["samples"]!, { withoutLast: true, none: keepWatched });
    return { first, inputs, dims, watched };
  };
  const count = ({ first, inputs, dims, watched }: ReturnType<typeof prepare>, { items, rank }: RunOutputs) => {
    for (let s = 0; s < dims["samples"]!; s++) {
      if (clicks.clickOffsets[first + s + 1]! - clicks.clickOffsets[first + s]! < minClicks) continue;
      const excluded = watched.ids.subarray(watched.offsets[s]!, watched.offsets[s + 1]!);
      tally.add(first + s, inputs["target"]![s]!, rank![s]!, excluded);
      exposure.add(items!, s * top, top);
    }
  };
  // While the engine computes a batch, the results of the one before are counted, and the next one is built.
  let countLast = () => {};
  let next = batches.batches > 0 ? prepare(0) : undefined;
  for (let b = 1; next; b++) {
    signal?.throwIfAborted();
    const batch: ReturnType<typeof prepare> = next;
    const { inputs, dims, watched } = batch;
    const running = model
      .rankingExecutor()
      .run(
        { ...inputs, excluded: watched.ids, excluded_offsets: watched.offsets },
        { ...dims, top, excluded: watched.ids.length },
      );
    countLast();
    next = b < batches.batches ? prepare(b) : undefined;
    const outputs = await running;
    checkScores((outputs[HIGHEST_SCORE] ?? outputs["log_partition"])!, (sample) => `user ${batch.first + sample + 1}`);
    countLast = () => count(batch, outputs);
  }
  countLast();
  const trainedTargets = trainingClicks && (await countTrainedTargets(clicks, trainingClicks, signal));
  const evaluation: Evaluation = {
    protocol: {
      split: "last-click",
      minClicks,
      rankedItems: size - 1,
      watchedItems: keepWatched ? "ranked" : "left-out",
      ties: "mean-rank",
      unknownTargets: "misses",
    },
    users: tally.ranks.length,
    unknownTargets: tally.unknownTargets,
    watchedTargets: tally.watchedTargets,
    ...(trainedTargets !== undefined && { trainedTargets }),
    ...rankingMetrics(tally.ranks, tops),
    coverage: exposure.coverage,
    exposure: exposure.exposure(model.items.counts),
    popularity: rankingMetrics(tally.popularityRanks, tops),
    ...(transitions && { transitions: rankingMetrics(tally.transitionRanks, tops) }),
  };
  return { evaluation, ranks: tally.ranks };
}

/** The ranks of the targets of all users, for the model and for the baselines, and what is to be said of the targets. */
class TargetTally {
  readonly ranks: number[] = [];
  readonly popularityRanks: number[] = [];
  readonly transitionRanks: number[] = [];
  unknownTargets = 0;
  watchedTargets = 0;
  readonly #clicks: Clicks;
  readonly #popularity: PopularityRanking;
  readonly #transitions: TransitionRanking | undefined;

  constructor(clicks: Clicks, popularity: PopularityRanking, transitions: TransitionRanking | undefined) {
    this.#clicks = clicks;
    this.#popularity = popularity;
    this.#transitions = transitions;
  }

  /** Adds a user's target, which the model gives `rank`. A target among the `excluded` items is a miss. */
  add(user: number, target: number, rank: number, excluded: Int32Array): void {
    const isWatched = excluded.includes(target);
    if (target === 0) this.unknownTargets++;
    if (isWatched) this.watchedTargets++;
    const push = (to: number[], rankOf: () => number) => to.push(isWatched ? Number.POSITIVE_INFINITY : rankOf());
    push(this.ranks, () => rank);
    push(this.popularityRanks, () => this.#popularity.rank(target, excluded));
    const transitions = this.#transitions;
    if (transitions)
      push(this.transitionRanks, () => transitions.rank(target, historyOf(this.#clicks, user), excluded));
  }
}

/** The items that a user clicked before the last click, oldest first. */
function historyOf({ itemFeatures, clickOffsets }: Clicks, user: number): Int32Array {
  return itemFeatures[0]!.ids.subarray(clickOffsets[user]!, clickOffsets[user + 1]! - 1);
}
