import type { Batch } from "../data/batches.js";
import type { Engine, RunInputs, TensorStore } from "../executors/index.js";
import { namesIn, type Program } from "../graph/program.js";
import type { TensorData } from "../ops/op.js";

/** One step of a training, before it is run. */
export interface NextStep {
  /** Its number, from 1. */
  readonly step: number;
  readonly engine: Engine;
  readonly program: Program;
  readonly store: TensorStore;
  readonly batch: Batch;
  /** The inputs that are not in the batch. */
  readonly scalars: RunInputs;
}

/**
 * Runs a training step and describes the first NaN or infinity that it computes: the instruction, its result and the
 * element. Undefined if all numbers stay finite.
 */
export async function describeFirstNotFinite(next: NextStep): Promise<string | undefined> {
  const { step, engine, program, store, batch, scalars } = next;
  const stored = new Set(store.tensors.map(({ name }) => name));
  const executor = engine.createExecutor(withAllResults(program), store);
  try {
    const results = await executor.run({ ...batch.inputs, ...scalars }, batch.dims);
    for (const [index, { op, outputs }] of program.instructions.entries()) {
      for (const name of namesIn(outputs)) {
        const values = results[name];
        const element = values ? firstNotFinite(values) : stored.has(name) ? store.firstNotFinite(name) : -1;
        if (element < 0) continue;
        const value = (values ?? store.read(name))[element];
        return `The first number that is not finite is ${value} at element ${element} of "${name}", which ${op} computes in step ${step} (instruction ${index} of ${program.instructions.length})`;
      }
    }
    return undefined;
  } finally {
    executor.close();
  }
}

/** A Program that also returns what it computes on the way. */
function withAllResults(program: Program): Program {
  const tensors = program.tensors.map((tensor) =>
    tensor.role === "temporary" && tensor.dtype === "float32" ? { ...tensor, role: "output" as const } : tensor,
  );
  return { ...program, tensors };
}

function firstNotFinite(values: TensorData): number {
  return values instanceof Float32Array ? values.findIndex((value) => !Number.isFinite(value)) : -1;
}
