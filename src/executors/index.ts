import { checkChoice, checkOptions } from "../errors.js";
import { OPS } from "../ops/index.js";
import type { Engine } from "./executor.js";
import { createNativeEngine, type NativeEngineOptions } from "./native.js";
import { createReferenceEngine } from "./reference.js";

export type { Engine, Executor, RunInputs, RunOutputs, StoredTensor, TensorStore } from "./executor.js";
export { availableIsas, createNativeEngine } from "./native.js";
export { createReferenceEngine } from "./reference.js";

/** Options of `createEngine`. */
export interface EngineOptions extends NativeEngineOptions {
  /** Which engine to create: "native" (default) or "reference". */
  readonly executor?: "native" | "reference" | undefined;
}

/**
 * Creates an engine. Throws ERR_EXECUTOR if the addon of the native engine cannot be loaded (it never falls back to the
 * reference engine silently), and ERR_OPTION if an option is impossible or the processor lacks the instruction set.
 */
export function createEngine(options: EngineOptions = {}): Engine {
  checkOptions("createEngine", options, ENGINE_OPTIONS);
  const { executor = "native", ...native } = options;
  checkChoice("executor", executor, ["native", "reference"]);
  return executor === "native" ? createNativeEngine(native) : createReferenceEngine({ ops: OPS });
}

/** Picks the options of `EngineOptions` out of a larger object. */
export function engineOptionsOf({ executor, threads, isa }: EngineOptions): EngineOptions {
  return { executor, threads, isa };
}

/** Returns options that create another engine like this one. */
export function engineLike({ kind, threads, isa }: Engine): EngineOptions {
  return kind === "native" ? { executor: kind, threads, isa } : { executor: kind };
}

export const ENGINE_OPTIONS: Readonly<Record<keyof EngineOptions, true>> = {
  executor: true,
  threads: true,
  isa: true,
};
