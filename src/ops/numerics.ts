import type { ShapeOperands } from "../graph/graph.js";
import type { KernelCall } from "./op.js";

/** What the operands of a matrix product are rounded to before it; sums are float32 (here float64) in any case. */
export type Precision = "float32" | "bf16";

export function checkPrecision(operands: ShapeOperands): void {
  if (!["float32", "bf16"].includes(operands.attribute("precision"))) {
    operands.fail('Expected precision "float32" or "bf16"');
  }
}

/** Rounds an operand of a product as the call's attribute `precision` says. */
export function rounding(call: KernelCall): (x: number) => number {
  return call.attribute("precision") === "bf16" ? toBf16 : (x) => x;
}

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** The nearest bfloat16 (float32 with 8 significant bits), ties to even. */
export function toBf16(x: number): number {
  if (Number.isNaN(x)) return x;
  FLOAT[0] = x;
  BITS[0] = (BITS[0]! + 0x7fff + ((BITS[0]! >>> 16) & 1)) & 0xffff0000;
  return FLOAT[0]!;
}

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

/** Checks the attribute `rate` of a dropout. */
export function checkRate(operands: ShapeOperands): void {
  const rate = operands.attribute<number>("rate");
  if (!(rate >= 0 && rate <= 1 - 2 ** -32)) operands.fail(`Expected rate from 0 to below 1 but received ${rate}`);
  checkWhole(operands, "site", 0, 2 ** 32 - 1);
}

/** The attribute, a whole number of `least` to `most`. */
export function checkWhole(operands: ShapeOperands, name: string, least: number, most = 2 ** 31 - 1): number {
  const value = operands.attribute<number>(name);
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  return operands.fail(`Expected ${name} of ${least} to ${most} but received ${value}`);
}

/** A dropout keeps what draws a word of at least this. */
export function keepAbove(rate: number): number {
  return Math.round(rate * 2 ** 32);
}
