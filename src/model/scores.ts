import { ShortlistError } from "../errors.js";

/**
 * Throws ERR_DIVERGED if a sample has a score of NaN or +∞, for then it has no shortlist and its target no rank. Such a
 * score shows as a log partition or highest score that is not finite, of which `values` has one for each sample.
 * `nameOf` names the user of a sample.
 */
export function checkScores(values: ArrayLike<number>, nameOf: (sample: number) => string): void {
  for (let sample = 0; sample < values.length; sample++) {
    if (!Number.isFinite(values[sample])) throw notFinite(`The scores of ${nameOf(sample)} are`);
  }
}

/** Returns ERR_DIVERGED for a result of the model. `subject` is a phrase such as "The vector of x is". */
export function notFinite(subject: string): ShortlistError {
  return new ShortlistError(
    "ERR_DIVERGED",
    `${subject} not finite: the training of the model diverged, or a number of the log is far from those that it was trained on`,
  );
}
