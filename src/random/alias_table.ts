import { ShortlistError } from "../errors.js";

/**
 * An alias table: after drawing column c uniformly, the result is c if another uniform random word is below
 * threshold[c], or else alias[c].
 */
export interface AliasTable {
  readonly threshold: Uint32Array;
  readonly alias: Int32Array;
}

const FULL = 2 ** 32;

/**
 * Builds the alias table (Walker 1977; Vose 1991; docs/math.md#draws) of non-negative weights [n]. Thresholds are whole
 * numbers, so that all executors draw alike. The probability of each column is within 2⁻³¹ / n of weight / Σ weights. A
 * column with probability 1 has itself as its alias; a column of weight 0 has threshold 0. Throws ERR_OPTION if a
 * weight is negative or not finite, or if all are 0.
 */
export function aliasTable(weights: ArrayLike<number>): AliasTable {
  const n = weights.length;
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const weight = weights[i]!;
    if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) {
      throw new ShortlistError(
        "ERR_OPTION",
        `Expected weights that are finite and not negative but weight ${i} is ${weight}`,
      );
    }
    sum += weight;
  }
  if (!(sum > 0 && sum < Number.POSITIVE_INFINITY)) {
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected weights with a finite sum above 0 but received ${n} that sum to ${sum}`,
    );
  }

  const threshold = new Uint32Array(n).fill(FULL - 1);
  const alias = Int32Array.from({ length: n }, (_, i) => i);
  /** The probability that is left to each column, in units of 1/n: 1 fills a column. */
  const mass = Float64Array.from({ length: n }, (_, i) => (weights[i]! / sum) * n);
  const light = new Int32Array(n);
  const heavy = new Int32Array(n);
  let [lights, heavies] = [0, 0];
  for (let i = 0; i < n; i++) {
    if (mass[i]! < 1) light[lights++] = i;
    else heavy[heavies++] = i;
  }
  /**
   * The accumulated rounding error, in [−½, ½), which is added to the next threshold. Without it, the last donor would
   * bear the sum of all errors.
   */
  let carry = 0;
  // Apart from rounding errors, the remaining mass equals the number of remaining columns. So when no heavy column is
  // left, each light one lacks 1 by a rounding error only and fills itself, and none of weight 0 is among them.
  while (lights > 0 && heavies > 0) {
    const column = light[--lights]!;
    const donor = heavy[heavies - 1]!;
    const exact = mass[column]! * FULL + carry;
    const kept = Math.round(exact);
    carry = exact - kept;
    if (kept >= FULL) continue;
    threshold[column] = kept;
    alias[column] = donor;
    mass[donor]! -= 1 - kept / FULL;
    if (mass[donor]! < 1) {
      heavies--;
      light[lights++] = donor;
    }
  }
  return { threshold, alias };
}
