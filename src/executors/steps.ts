import type { TrainingBatches, UserBatches } from "../data/batches.js";
import { checkOptions, ShortlistError } from "../errors.js";
import type { DimSizes } from "../graph/dims.js";
import type { TensorData } from "../ops/op.js";
import type { Executor, RunInputs, RunOutputs, StepsOptions, StepsResult } from "./executor.js";

const STEPS_OPTIONS: Readonly<Record<keyof StepsOptions, true>> = {
  epoch: true,
  index: true,
  steps: true,
  scalars: true,
};

/** Throws ERR_OPTION unless all of these steps are batches of one epoch. */
export function checkSteps(batches: TrainingBatches, options: StepsOptions): void {
  checkOptions("runSteps", options, STEPS_OPTIONS);
  const { epoch, index, steps } = options;
  const whole = [epoch, index, steps].every((value) => Number.isSafeInteger(value) && value >= 0);
  if (whole && index + steps <= batches.batchesPerEpoch) return;
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected steps within the ${batches.batchesPerEpoch} batches of an epoch but received ${steps} from ${index} on in epoch ${epoch}`,
  );
}

/** `Executor.runSteps` as one `run` per step. */
export async function runStepByStep(
  executor: Executor,
  batches: TrainingBatches,
  options: StepsOptions,
): Promise<StepsResult> {
  checkSteps(batches, options);
  const { epoch, index, steps, scalars } = options;
  for (const [name, { length }] of Object.entries(scalars)) {
    if (length !== 1 && length !== steps)
      throw new ShortlistError(
        "ERR_INPUT",
        `Expected 1 or ${steps} elements for input "${name}" but received ${length}`,
      );
  }
  const scalarOutputs = executor.program.tensors.filter(({ role, shape }) => role === "output" && shape.length === 0);
  const outputs: Record<string, TensorData> = {};
  const dims: Record<string, Int32Array> = {};
  let secondsWaited = 0;
  for (let i = 0; i < steps; i++) {
    const started = performance.now();
    const batch = batches.batch(epoch, index + i);
    secondsWaited += (performance.now() - started) / 1000;
    const inputs: Record<string, RunInputs[string]> = { ...batch.inputs };
    for (const [name, values] of Object.entries(scalars))
      inputs[name] = values.length > 1 ? values.slice(i, i + 1) : values;
    const results = await executor.run(inputs, batch.dims);
    for (const { name } of scalarOutputs) {
      outputs[name] ??= new (results[name]!.constructor as Int32ArrayConstructor)(steps);
      outputs[name][i] = results[name]![0]!;
    }
    for (const [name, size] of Object.entries(batch.dims)) {
      dims[name] ??= new Int32Array(steps);
      dims[name][i] = size;
    }
  }
  return { outputs, dims, secondsWaited };
}

/** `Executor.runUsers` as one `run`. */
export async function runBatchOfUsers(
  executor: Executor,
  batches: UserBatches,
  index: number,
  inputs: RunInputs,
  dims: DimSizes,
): Promise<RunOutputs> {
  const batch = batches.batch(index);
  return executor.run({ ...inputs, ...batch.inputs }, { ...dims, ...batch.dims });
}
