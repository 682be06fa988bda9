import type { Engine, RunOutputs } from "../../src/executors/executor.js";
import { storedTensors } from "../../src/graph/program.js";
import type { TensorData } from "../../src/ops/op.js";
import { type BuiltCase, storeOf } from "./build_case.js";

/** Results of a run, by name. */
export interface RunResult {
  readonly outputs: RunOutputs;
  /** The stored tensors after the run. */
  readonly stored: Readonly<Record<string, TensorData>>;
}

/** Runs a Program once, on a new store. If the run is refused, the stored tensors must not have changed. */
export async function runCase(
  engine: Engine,
  built: BuiltCase,
  dims: Readonly<Record<string, number>> = {},
): Promise<RunResult> {
  const { program, stored, inputs } = built;
  const store = storeOf(engine, built);
  const names = storedTensors(program).map(({ name }) => name);
  const executor = engine.createExecutor(program, store);
  try {
    const outputs = await executor.run(inputs, dims);
    return { outputs, stored: Object.fromEntries(names.map((name) => [name, store.read(name)])) };
  } catch (error) {
    for (const name of names) {
      const after = store.read(name);
      const before = after.slice();
      before.set(stored[name]!);
      if (after.some((value, i) => !Object.is(value, before[i])))
        throw new Error(`A refused run changed ${name}`, { cause: error });
    }
    throw error;
  } finally {
    executor.close();
  }
}
