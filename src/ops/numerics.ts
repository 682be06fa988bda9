/** log(1 + eˣ) = −log σ(−x), without overflow. */
export function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** σ(x) = 1 / (1 + e⁻ˣ), without overflow. */
export function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const power = Math.exp(x);
  return power / (1 + power);
}

/** log Σ exp(xᵢ), without overflow: the maximum is taken out first. −∞ for none. */
export function logSumExp(values: Iterable<number>): number {
  const all = [...values];
  const maximum = all.reduce((a, b) => Math.max(a, b), -Infinity);
  if (maximum === -Infinity) return -Infinity;
  return maximum + Math.log(all.reduce((sum, x) => sum + Math.exp(x - maximum), 0));
}
