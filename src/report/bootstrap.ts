import type { Turns } from "../data/turns.js";
import { multiplyHigh, philox, STREAMS } from "../random/philox.js";

/** A mean over users, and how sure it is. */
export interface Estimate {
  /** The mean over all users. */
  readonly mean: number;
  /** The interval of 95 %: from the 2.5 % quantile to the 97.5 % quantile of the means of the resamples. */
  readonly low: number;
  readonly high: number;
}

/** Number of random numbers of one call of Philox. */
const WORDS = 4;

/**
 * The bootstrap over users (Efron 1979): draws as many users as there are, with replacement, `resamples` times. Returns
 * the mean of each list in each resample, [lists] [resamples]; `values[m][u]` is value m of user u. All lists see the
 * same draws, so the difference of two lists within a resample pairs them by user. The same seed gives the same draws.
 */
export async function bootstrapMeans(
  values: readonly Float64Array[],
  { resamples, seed }: { readonly resamples: number; readonly seed: number },
  turns: Turns,
): Promise<Float64Array[]> {
  const users = values[0]?.length ?? 0;
  const means = values.map(() => new Float64Array(resamples));
  const draws = new Uint16Array(users);
  for (let resample = 0; resample < resamples; resample++) {
    if (turns.isDue) await turns.take();
    drawUsers(draws, resample, seed);
    values.forEach((list, m) => {
      means[m]![resample] = weightedSum(draws, list) / users;
    });
  }
  return means;
}

/** Counts how often each user is drawn in a resample. */
function drawUsers(draws: Uint16Array, resample: number, seed: number): void {
  const users = draws.length;
  const words = new Uint32Array(WORDS);
  draws.fill(0);
  for (let user = 0; user < users; user++) {
    if (user % WORDS === 0) philox(words, user / WORDS, 0, resample, 0, seed, STREAMS.bootstrap);
    draws[multiplyHigh(words[user % WORDS]!, users)]!++;
  }
}

function weightedSum(weights: Uint16Array, values: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += weights[i]! * values[i]!;
  return sum;
}

/** The estimate of a mean, given the means of the resamples. */
export function estimateOf(mean: number, resampled: Float64Array): Estimate {
  const sorted = resampled.slice().sort();
  return { mean, low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) };
}

/** The quantile q of sorted values, interpolated linearly. */
function quantile(sorted: Float64Array, q: number): number {
  const place = q * (sorted.length - 1);
  const below = Math.floor(place);
  const [low, high] = [sorted[below]!, sorted[Math.min(below + 1, sorted.length - 1)]!];
  return low + (place - below) * (high - low);
}
