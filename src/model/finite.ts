import type { SafetensorsFile } from "../data/safetensors.js";
import type { StoredTensor, TensorStore } from "../executors/executor.js";

/** Bytes of an element of a stored tensor. */
const BYTES_PER_ELEMENT = 4;

/**
 * Describes the first NaN or infinity in the tensors, with its tensor and place. Undefined if all numbers are finite.
 */
export function describeNotFinite(store: TensorStore, tensors: readonly StoredTensor[]): string | undefined {
  for (const { name } of tensors) {
    const element = store.firstNotFinite(name);
    if (element >= 0) return describe(store, name, element);
  }
  return undefined;
}

/** Elements that are read between two looks at the signal: 32 MiB. */
const ELEMENTS_AT_ONCE = 1 << 23;

/**
 * Fills a stored tensor from a file that has one of its shape, and describes the first NaN or infinity in it. Undefined
 * if all numbers are finite.
 */
export async function loadFinite(
  store: TensorStore,
  name: string,
  file: SafetensorsFile,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { position, bytes } = file.find(name)!;
  const elements = bytes / BYTES_PER_ELEMENT;
  for (let first = 0; first < elements; first += ELEMENTS_AT_ONCE) {
    signal?.throwIfAborted();
    const from = { file: file.handle, path: file.path, position: position + first * BYTES_PER_ELEMENT };
    const element = await store.load(name, from, first, Math.min(ELEMENTS_AT_ONCE, elements - first));
    if (element >= 0) return describe(store, name, element);
  }
  return undefined;
}

function describe(store: TensorStore, name: string, element: number): string {
  return `"${name}" holds ${store.read(name, element, 1)[0]} at element ${element}`;
}
