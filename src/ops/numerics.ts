import type { ShapeOperands } from "../graph/graph.js";
import type { KernelCall } from "./op.js";

/**
 * The precision to which operands of matrix products are rounded. Sums are float32 in any case (float64 in the
 * reference).
 */
export type Precision = "float32" | "bf16";

/** Throws ERR_GRAPH unless the attribute `precision` is known. */
export function checkPrecision(operands: ShapeOperands): void {
  if (!["float32", "bf16"].includes(operands.attribute("precision"))) {
    operands.fail('Expected precision "float32" or "bf16"');
  }
}

/** Returns the function that rounds operands of products, according to the attribute `precision`. */
export function rounding(call: KernelCall): (x: number) => number {
  return call.attribute("precision") === "bf16" ? toBf16 : (x) => x;
}

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** Rounds to the nearest bfloat16 (a float32 with 8 significant bits), ties to even. */
export function toBf16(x: number): number {
  if (Number.isNaN(x)) return x;
  FLOAT[0] = x;
  BITS[0] = (BITS[0]! + 0x7fff + ((BITS[0]! >>> 16) & 1)) & 0xffff0000;
  return FLOAT[0]!;
}

/** Returns log(1 + eˣ) = −log σ(−x), without overflow. */
export function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** Returns σ(x) = 1 / (1 + e⁻ˣ), without overflow. */
export function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const power = Math.exp(x);
  return power / (1 + power);
}

/** Returns log Σ exp(xᵢ); −∞ without values. The maximum is subtracted first, to avoid overflow. */
export function logSumExp(values: Iterable<number>): number {
  const all = [...values];
  const maximum = all.reduce((a, b) => Math.max(a, b), -Infinity);
  if (maximum === -Infinity) return -Infinity;
  return maximum + Math.log(all.reduce((sum, x) => sum + Math.exp(x - maximum), 0));
}

/** Checks the attributes `rate` and `site` of a dropout. */
export function checkRate(operands: ShapeOperands): void {
  const rate = operands.attribute<number>("rate");
  if (!(rate >= 0 && rate <= 1 - 2 ** -32)) operands.fail(`Expected rate from 0 to below 1 but received ${rate}`);
  checkWhole(operands, "site", 0, 2 ** 32 - 1);
}

/** Returns an attribute that must be a whole number from `least` to `most`. */
export function checkWhole(operands: ShapeOperands, name: string, least: number, most = 2 ** 31 - 1): number {
  const value = operands.attribute<number>(name);
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  return operands.fail(`Expected ${name} of ${least} to ${most} but received ${value}`);
}

/** A dropout keeps an element if its random word is at least this. */
export function keepAbove(rate: number): number {
  return Math.round(rate * 2 ** 32);
}
