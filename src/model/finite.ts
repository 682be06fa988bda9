import type { Turns } from "../data/turns.js";
import type { StoredTensor, TensorStore } from "../executors/executor.js";
import type { TensorData } from "../ops/op.js";

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

/** Elements that are written between two looks at the clock: 1 MiB. */
const ELEMENTS_AT_ONCE = 1 << 18;

/**
 * Writes a tensor piece by piece, between which the event loop runs, and describes the first NaN or infinity in it.
 * Undefined if all numbers are finite.
 */
export async function writeFinite(
  store: TensorStore,
  { name, data }: { readonly name: string; readonly data: TensorData },
  turns: Turns,
): Promise<string | undefined> {
  for (let first = 0; first < data.length; first += ELEMENTS_AT_ONCE) {
    const piece = data.subarray(first, first + ELEMENTS_AT_ONCE);
    store.write(name, piece, first);
    const element = store.firstNotFinite(name, first, piece.length);
    if (element >= 0) return describe(store, name, element);
    if (turns.isDue) await turns.take();
  }
  return undefined;
}

function describe(store: TensorStore, name: string, element: number): string {
  return `"${name}" holds ${store.read(name, element, 1)[0]} at element ${element}`;
}
