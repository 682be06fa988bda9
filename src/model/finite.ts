import type { StoredTensor, TensorStore } from "../executors/executor.js";

/**
 * Describes the first NaN or infinity in the tensors, with its tensor and place. Undefined if all numbers are finite.
 */
export function describeNotFinite(store: TensorStore, tensors: readonly StoredTensor[]): string | undefined {
  for (const { name } of tensors) {
    const element = store.firstNotFinite(name);
    if (element >= 0) return `"${name}" holds ${store.read(name, element, 1)[0]} at element ${element}`;
  }
  return undefined;
}
