import { ShortlistError } from "../errors.js";
import type { TensorStore } from "../executors/executor.js";
import type { Initializer } from "../graph/graph.js";
import { type Program, storedTensors } from "../graph/program.js";
import { philox, STREAMS } from "../random/philox.js";

/** Makes room in the store for every tensor that the Program keeps and the store does not have yet, and fills it. */
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
    if (!initializer) throw new ShortlistError("ERR_PROGRAM", `Tensor "${name}" has no start value`);
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
    case "constant":
    case "normal":
    case "uniform": {
      const chunk = new Float32Array(Math.min(CHUNK, elements));
      for (let offset = 0; offset < elements; offset += CHUNK) {
        const values = chunk.subarray(0, Math.min(CHUNK, elements - offset));
        if (initializer.kind === "constant") values.fill(initializer.value);
        else fillRandom(values, offset, initializer, seed, hash(name));
        store.write(name, values, offset);
      }
    }
  }
}

/** Element i takes word i mod 4 of the Philox block ⌊i/4⌋ of its tensor; normals come in pairs (Box & Muller 1958). */
function fillRandom(
  values: Float32Array,
  offset: number,
  initializer: Extract<Initializer, { kind: "normal" | "uniform" }>,
  seed: number,
  tensor: number,
): void {
  const words = new Uint32Array(4);
  const unit = (word: number) => (words[word]! + 0.5) / 2 ** 32;
  for (let i = 0; i < values.length; i += 4) {
    const block = (offset + i) / 4;
    philox(words, block % 2 ** 32, Math.floor(block / 2 ** 32), tensor, 0, seed, STREAMS.initial_values);
    for (let pair = 0; pair < 4; pair += 2) {
      let [first, second] = [unit(pair), unit(pair + 1)];
      if (initializer.kind === "uniform") {
        first = (2 * first - 1) * initializer.limit;
        second = (2 * second - 1) * initializer.limit;
      } else {
        const radius = initializer.standardDeviation * Math.sqrt(-2 * Math.log(first));
        const angle = 2 * Math.PI * second;
        first = radius * Math.cos(angle);
        second = radius * Math.sin(angle);
      }
      if (i + pair < values.length) values[i + pair] = first;
      if (i + pair + 1 < values.length) values[i + pair + 1] = second;
    }
  }
}

/** FNV-1a: a tensor's random numbers depend on its name and on no other tensor. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
