import { ShortlistError } from "../errors.js";
import { OPS } from "../ops/index.js";
import type { Engine } from "./executor.js";
import { createNativeEngine, type NativeEngineOptions } from "./native.js";
import { createReferenceEngine } from "./reference.js";

export type { Engine, Executor, RunInputs, RunOutputs, StoredTensor, TensorStore } from "./executor.js";
export { availableIsas, createNativeEngine } from "./native.js";
export { createReferenceEngine } from "./reference.js";

export interface EngineOptions extends NativeEngineOptions {
  /** "native" (default) or "reference" */
  readonly executor?: "native" | "reference" | undefined;
}

/** The engine that Programs run on. Nothing falls back silently: where the addon cannot be loaded, ERR_EXECUTOR says why. */
export function createEngine({ executor = "native", ...options }: EngineOptions = {}): Engine {
  switch (executor) {
    case "native":
      return createNativeEngine(options);
    case "reference":
      return createReferenceEngine({ ops: OPS });
    default:
      throw new ShortlistError("ERR_OPTION", `Expected executor "native" or "reference" but received "${executor}"`);
  }
}
