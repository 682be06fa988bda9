import { ShortlistError } from "../errors.js";
import type { TensorStore } from "../executors/executor.js";
import type { Initializer } from "../graph/graph.js";
import { type Program, storedTensors } from "../graph/program.js";

/**
 * Creates every stored tensor of the Program that the store does not have yet, and fills it with its initial values,
 * which `initializers` (those of the graph) give by tensor name. The same seed gives the same numbers in every engine.
 * Throws ERR_PROGRAM if a tensor has no initializer.
 */
export function initializeStore(
  store: TensorStore,
  program: Program,
  initializers: ReadonlyMap<string, Initializer>,
  seed: number,
): void {
  const present = new Set(store.tensors.map(({ name }) => name));
  for (const { name, dtype, shape } of storedTensors(program)) {
    if (present.has(name)) continue;
    const initializer = initializers.get(name);
    if (!initializer) throw new ShortlistError("ERR_PROGRAM", `Tensor "${name}" has no initial value`);
    store.define({ name, dtype, shape });
    fill(
      store,
      name,
      (shape as number[]).reduce((product, size) => product * size, 1),
      initializer,
      seed,
    );
  }
}

const CHUNK = 1 << 16;

function fill(store: TensorStore, name: string, elements: number, initializer: Initializer, seed: number): void {
  switch (initializer.kind) {
    case "zeros":
      break;
    case "values":
      store.write(name, initializer.values);
      break;
    case "constant": {
      const chunk = new Float32Array(Math.min(CHUNK, elements)).fill(initializer.value);
      for (let offset = 0; offset < elements; offset += CHUNK) {
        store.write(name, chunk.subarray(0, elements - offset), offset);
      }
      break;
    }
    case "normal":
      store.fill(name, { kind: "normal", scale: initializer.standardDeviation, seed, tensor: hash(name) });
      break;
    case "uniform":
      store.fill(name, { kind: "uniform", scale: initializer.limit, seed, tensor: hash(name) });
  }
}

/** FNV-1a. It makes the random numbers of a tensor depend on its name and on no other tensor. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
