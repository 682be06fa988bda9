import { ShortlistError } from "../../errors.js";
import type { Model } from "../model.js";

/** What a model needs of an index: candidates for a user, among which the best items probably are. */
export interface CandidateIndex {
  /** The id of the model whose items it has. */
  readonly model: string;
  /** Length of the shortlists for which the search width was chosen. */
  readonly top: number;
  /** Number of candidates that a search for `top` items visits. */
  readonly searchWidth: number;
  /** Returns up to `searchWidth` ids of items, which probably have the highest scores for a user vector u. */
  candidates(vector: Float32Array, searchWidth: number): Int32Array;
}

/** Throws ERR_OPTION unless `index` is an index, and ERR_INDEX unless it is one of this model. */
export function expectIndexOf({ id }: Model, index: unknown): void {
  const given = index as Partial<CandidateIndex> | null | undefined;
  if (typeof given?.candidates !== "function") {
    const received = typeof index === "string" ? `"${index}": open it with openIndex` : String(index);
    throw new ShortlistError("ERR_OPTION", `Expected index to be one of openIndex but received ${received}`);
  }
  if (given.model === id) return;
  throw new ShortlistError(
    "ERR_INDEX",
    `Expected an index of the model ${id ?? "without an id"} but received one of ${given.model}: the vectors of two models have nothing to do with each other. Build an index of this model`,
  );
}
