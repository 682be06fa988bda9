import type { Engine, TensorStore } from "../src/executors/executor.js";
import { countElements } from "../src/graph/dims.js";
import type { Initializer } from "../src/graph/graph.js";
import { type Program, storedTensors } from "../src/graph/program.js";
import { RandomStream } from "../src/random/philox.js";

const BLOCK = 1 << 16;
/** The key word of the random numbers that fill stores; `src/random` uses the small ones. */
const STREAM = 1101;

/**
 * A store for timing. It has initial values like those of `initializeStore`, except that random numbers repeat every
 * 65,536 elements, so that tables of millions of rows are filled within seconds. Zeros are written too, because the
 * first access to untouched memory is slow.
 */
export function benchStore(
  engine: Engine,
  program: Program,
  initializers: ReadonlyMap<string, Initializer>,
): TensorStore {
  const store = engine.createStore();
  const random = new RandomStream(1, STREAM);
  const normal = Float32Array.from({ length: BLOCK }, () => random.normal());
  const uniform = Float32Array.from({ length: BLOCK }, () => random.uniform());
  for (const { name, dtype, shape } of storedTensors(program)) {
    store.define({ name, dtype, shape });
    const elements = countElements(shape, {});
    const initializer = initializers.get(name)!;
    if (initializer.kind === "values") store.write(name, initializer.values);
    if (initializer.kind === "values") continue;
    const floats = blockOf(initializer, normal, uniform);
    const block = dtype === "float32" ? floats : new { int32: Int32Array, uint32: Uint32Array }[dtype](floats);
    for (let offset = 0; offset < elements; offset += BLOCK) {
      store.write(name, block.subarray(0, Math.min(BLOCK, elements - offset)), offset);
    }
  }
  return store;
}

function blockOf(
  initializer: Exclude<Initializer, { kind: "values" }>,
  normal: Float32Array,
  uniform: Float32Array,
): Float32Array {
  switch (initializer.kind) {
    case "zeros":
      return new Float32Array(BLOCK);
    case "constant":
      return new Float32Array(BLOCK).fill(initializer.value);
    case "normal":
      return normal.map((x) => x * initializer.standardDeviation);
    case "uniform":
      return uniform.map((x) => (2 * x - 1) * initializer.limit);
  }
}
