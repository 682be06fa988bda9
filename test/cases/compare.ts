import type { TensorData } from "../../src/ops/op.js";
import type { CaseGraph } from "./build_case.js";
import type { OpCase } from "./case.js";
import type { RunResult } from "./run_case.js";

export const FLOAT32_EPSILON = 2 ** -23;

/** In float32 epsilons: where a case has no tolerance of its own, and for gradients at least, which are sums. */
const TOLERANCE = 16;

/** The largest finite magnitude, or `least`. */
export function magnitudeOf(values: TensorData, least = 0): number {
  let largest = least;
  for (const x of values) if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x));
  return largest;
}

/** How far each number of a case's outputs and stored tensors may be from the reference's, by name. Integers must be equal. */
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

/** Where two lists of numbers are further apart than `bound`, in words; what is not finite must be equal. */
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

/** The first difference of a run from the reference's, in words; undefined where there is none. */
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
