import type { RankedItem } from "./ranking.js";
import type { UnknownValue } from "./values.js";

/** What every answer for a user tells about the request. */
export interface UserAnswer {
  /**
   * Whether the model knows the user's id or any value of the user's clicks. All unknown users with the same features
   * get the same answer.
   */
  readonly known: boolean;
  /** The values of the request that the model does not know, and which it reads as `<unk>`. */
  readonly unknown: readonly UnknownValue[];
}

/** A click of the history, and what it contributed to the score of an item. */
export interface ContributingClick {
  /** Token of the clicked item. */
  readonly item: string;
  /** Index of the click in the history. */
  readonly position: number;
  /** By how much the item's score would fall without this click; negative if it would rise. */
  readonly effect: number;
  /** Cosine between the output weights of the clicked and the recommended item; 0 if the clicked one is unknown. */
  readonly similarity: number;
}

/** An item of a shortlist that a model recommends. */
export interface RecommendedByModel extends RankedItem {
  /**
   * With `explain`, up to three clicks of the history that the model read, those with the largest effect on the score
   * first. Undefined without `explain`.
   */
  readonly because?: readonly ContributingClick[];
}

/** The items that a user may want next. */
export interface Recommendation extends UserAnswer {
  /**
   * The items, best first. There are fewer than requested if there are no more candidates. They are made when they are
   * first read.
   */
  readonly items: readonly RecommendedByModel[];
}

/** A user's vector. */
export interface UserVector extends UserAnswer {
  /** [userVectorWidth] The vector u. The score of an item is w·u + b (docs/math.md#the-network). */
  readonly vector: Float32Array;
}

/** An item and its score for a user. */
export interface ScoredItem {
  /** Token of the item. */
  readonly item: string;
  /** Id of the item. */
  readonly id: number;
  /** w·u + b for the item and the user. */
  readonly score: number;
}

/** The scores of items for a user. */
export interface ItemScores extends UserAnswer {
  /** The items that the model knows, in the order in which they were given. */
  readonly items: readonly ScoredItem[];
}

/** An item that is similar to another one. */
export interface SimilarItem {
  /** Token of the item. */
  readonly item: string;
  /** Id of the item. */
  readonly id: number;
  /** Cosine between the output weights of the two items. */
  readonly similarity: number;
}

/** An item and the items most similar to it. */
export interface SimilarityList {
  /** Token of the item. */
  readonly item: string;
  /** Whether the model knows the item. */
  readonly known: boolean;
  /** The most similar items, most similar first, without the item itself. Empty if the model does not know it. */
  readonly similar: readonly SimilarItem[];
  /** The values of the request that the model does not know. */
  readonly unknown: readonly UnknownValue[];
}
