import { ShortlistError } from "../errors.js";

/**
 * Throws ERR_DIVERGED where a sample has a score that is NaN or +∞, as its log partition [samples] tells: such a user
 * has no shortlist, and the target no rank. `nameOf` names the user of a sample.
 */
export function checkScores(logPartition: ArrayLike<number>, nameOf: (sample: number) => string): void {
  for (let sample = 0; sample < logPartition.length; sample++) {
    if (!Number.isFinite(logPartition[sample])) throw notFinite(`The scores of ${nameOf(sample)} are`);
  }
}

/** ERR_DIVERGED for what a model computes; `subject` is such as "The vector of x is". */
export function notFinite(subject: string): ShortlistError {
  return new ShortlistError(
    "ERR_DIVERGED",
    `${subject} not finite: the training of the model diverged, or a number of the log is far from those that it was trained on`,
  );
}
