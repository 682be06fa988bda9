import type { Engine } from "../src/executors/executor.js";
import { storedTensors } from "../src/graph/program.js";
import type { TensorData } from "../src/ops/op.js";
import { type CaseGraph, storeOf } from "./build_case.js";
import type { OpCase } from "./cases/case.js";

const FLOAT32_EPSILON = 2 ** -23;
/** In epsilons of the largest magnitude, where the case gives no tolerance of its own. */
const TOLERANCE = 16;

/** What one run leaves: outputs and stored tensors, by name. */
export type Results = Readonly<Record<string, TensorData>>;

export async function resultsOf(engine: Engine, built: CaseGraph): Promise<Results> {
  const store = storeOf(engine, built);
  const executor = engine.createExecutor(built.program, store);
  const outputs = await executor.run(built.inputs, {});
  executor.close();
  return {
    ...outputs,
    ...Object.fromEntries(storedTensors(built.program).map(({ name }) => [name, store.read(name)])),
  };
}

/** Where `actual` leaves the case's tolerance, in words; undefined where it does not. */
export function difference(
  actual: Results,
  expected: Results,
  { tolerance, magnitude = 0 }: OpCase,
): string | undefined {
  for (const [name, values] of Object.entries(expected)) {
    const isFloat = values instanceof Float32Array;
    let largest = magnitude;
    for (const x of values) if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x));
    const bound = isFloat ? Math.max(TOLERANCE, tolerance ?? 0) * FLOAT32_EPSILON * largest : 0;
    for (let i = 0; i < values.length; i++) {
      const [a, b] = [actual[name]![i]!, values[i]!];
      if (Object.is(a, b) || Math.abs(a - b) <= bound) continue;
      return `${name}[${i}]: expected ${b} ± ${bound} but received ${a}`;
    }
  }
  return undefined;
}
