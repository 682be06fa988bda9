import type { CandidateOptions } from "./candidates.js";
import type { CandidateIndex } from "./item_index.js";

/** Options of `Model.recommend`. */
export interface ModelRecommendOptions extends CandidateOptions {
  /** Length of each shortlist (default 30). */
  readonly top?: number | undefined;
  /** Keeps items of the user's history on the shortlist (default false). */
  readonly keepWatched?: boolean | undefined;
  /**
   * Gives each item its probability, which takes the scores of all items. The default is true up to 2²⁰ elements of
   * item vectors and false for larger catalogues, which are searched faster without, and with an index. Items and
   * scores are the same.
   */
  readonly probabilities?: boolean | undefined;
  /** Tells for each item which clicks of the history contributed most to its score (default false). */
  readonly explain?: boolean | undefined;
  /**
   * An index of this model, which `openIndex` opens: the shortlists are those among its candidates, with exact scores
   * and without probabilities. Where filters leave few items, an exact search takes its place.
   */
  readonly index?: CandidateIndex | undefined;
  /** Rejects the call with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export const RECOMMEND_OPTIONS: Readonly<Record<keyof ModelRecommendOptions, true>> = {
  top: true,
  exclude: true,
  allow: true,
  keepWatched: true,
  probabilities: true,
  explain: true,
  index: true,
  signal: true,
};

/** Options of `Model.similar`. */
export interface ModelSimilarOptions extends CandidateOptions {
  /** Length of each list (default 30). */
  readonly top?: number | undefined;
  /** Rejects the call with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export const SIMILAR_OPTIONS: Readonly<Record<keyof ModelSimilarOptions, true>> = {
  top: true,
  exclude: true,
  allow: true,
  signal: true,
};

/** Options of `Model.userVectors` and `Model.score`. */
export interface ModelUserOptions {
  /** Rejects the call with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export const USER_OPTIONS: Readonly<Record<keyof ModelUserOptions, true>> = { signal: true };
