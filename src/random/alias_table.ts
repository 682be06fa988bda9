import { ShortlistError } from "../errors.js";

/**
 * Column c of n, drawn uniformly, is kept where a second uniform word is below threshold[c], else alias[c] is drawn.
 */
export interface AliasTable {
  readonly threshold: Uint32Array;
  readonly alias: Int32Array;
}

const FULL = 2 ** 32;

/**
 * The alias table (Walker 1977; Vose 1991; docs/math.md#draws) of non-negative weights [n]. Thresholds are whole
 * numbers, so that every executor draws alike; each column's implied probability is within 2⁻³¹ / n of weight / Σ
 * weights. A column with probability 1 has itself as alias, one of weight 0 threshold 0.
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
  /** What each column still has to give, in columns: 1 fills it. */
  const mass = Float64Array.from({ length: n }, (_, i) => (weights[i]! / sum) * n);
  const light = new Int32Array(n);
  const heavy = new Int32Array(n);
  let [lights, heavies] = [0, 0];
  for (let i = 0; i < n; i++) {
    if (mass[i]! < 1) light[lights++] = i;
    else heavy[heavies++] = i;
  }
  /** What rounding has taken so far, in [−½, ½), goes to the next threshold: else the last donor would bear the sum. */
  let carry = 0;
  // The mass left equals the columns left but for rounding: when no heavy column is left, the light ones miss 1 by
  // rounding only and fill themselves, and none of weight 0 can be among them.
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
