import type { TensorData } from "../../src/ops/op.js";
import type { CaseGraph } from "./build_case.js";
import type { OpCase } from "./case.js";
import type { RunResult } from "./run_case.js";

export const FLOAT32_EPSILON = 2 ** -23;

/**
 * Default tolerance in float32 epsilons, for cases that do not state one. Gradients get at least this much, because
 * they are sums.
 */
const TOLERANCE = 16;

/** The largest finite magnitude, or `least` if that is larger. */
export function magnitudeOf(values: TensorData, least = 0): number {
  let largest = least;
  for (const x of values) if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x));
  return largest;
}

/**
 * Tolerances of a case's outputs and stored tensors, by name: the largest difference of a number from the reference's.
 * Integers must be equal.
 */
export function boundsOf(
  { tolerance = TOLERANCE, magnitude }: OpCase,
  built: CaseGraph,
  { outputs, stored }: RunResult,
): Record<string, number> {
  const bounds: Record<string, number> = {};
  for (const [name, values] of [...Object.entries(outputs), ...Object.entries(stored)]) {
    const isGradient = name in outputs && !built.outputs.some((tensor) => tensor.name === name);
    const epsilons = isGradient ? Math.max(tolerance, TOLERANCE) : tolerance;
    const isInteger = values instanceof Int32Array || values instanceof Uint32Array;
    bounds[name] = isInteger ? 0 : epsilons * FLOAT32_EPSILON * magnitudeOf(values, magnitude);
  }
  return bounds;
}

/**
 * Describes where two lists of numbers differ by more than `bound`; undefined if nowhere. Numbers that are not finite
 * must be equal.
 */
export function difference(actual: TensorData, expected: TensorData, bound: number, name: string): string | undefined {
  if (actual.length !== expected.length)
    return `${name}: expected ${expected.length} numbers but received ${actual.length}`;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    if (Object.is(a, b) || a === b || Math.abs(a - b) <= bound) continue;
    return `${name}[${i}]: expected ${b} ± ${bound} but received ${a}`;
  }
  return undefined;
}

/** Describes the first difference between a run and the reference's run; undefined if there is none. */
export function runDifference(
  opCase: OpCase,
  built: CaseGraph,
  actual: RunResult,
  expected: RunResult,
): string | undefined {
  const bounds = boundsOf(opCase, built, expected);
  for (const part of ["outputs", "stored"] as const) {
    const [received, wanted] = [Object.keys(actual[part]).sort(), Object.keys(expected[part]).sort()];
    if (String(received) !== String(wanted)) return `expected ${part} ${wanted} but received ${received}`;
    for (const [name, values] of Object.entries(expected[part])) {
      const found = difference(actual[part][name]!, values, bounds[name]!, name);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}
