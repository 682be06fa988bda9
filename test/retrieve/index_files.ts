import { createRequire } from "node:module";
import { parseSchema } from "../../src/data/schema.js";
import { UNKNOWN, Vocabulary } from "../../src/data/vocabulary.js";
import { createNativeEngine } from "../../src/executors/native.js";
import { countElements } from "../../src/graph/dims.js";
import { storedTensors } from "../../src/graph/program.js";
import { resolveConfig } from "../../src/model/config.js";
import { Model, openModel, saveModel } from "../../src/model/model.js";
import { inferenceProgram } from "../../src/model/programs.js";
import { RandomStream, STREAMS } from "../../src/random/philox.js";

/** Whether the package of indexes is there, an optional dependency; tests of indexes are skipped without it. */
export const HAS_USEARCH = (() => {
  try {
    createRequire(import.meta.url).resolve("usearch");
    return true;
  } catch {
    return false;
  }
})();

/**
 * Saves and opens a model of random vectors with some biases: a user's vector is the mean of the clicked items'
 * embeddings, which have nothing to do with the vectors of the items.
 */
export async function randomModel(folder: string, items: number, seed = 1, threads = 1): Promise<Model> {
  const schema = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click: [{ name: "item" }] });
  const tokens = Array.from({ length: items }, (_, i) => `v${i}`);
  const counts = Float64Array.from({ length: items + 1 }, (_, i) => (i === 0 ? 0 : Math.ceil(items / i)));
  const vocabularies = new Map([
    ["user_id", new Vocabulary([UNKNOWN], Float64Array.of(0))],
    ["item", new Vocabulary([UNKNOWN, ...tokens], counts)],
  ]);
  const encoding = { schema, vocabularies, numbers: new Map() };
  const config = resolveConfig("paddle", {
    history: "mean",
    embeddingWidths: { item: 8, user_id: 1 },
    hiddenWidths: [],
    userVectorWidth: 8,
    userVectorActivation: "none",
  });
  const { program } = inferenceProgram(config, encoding);
  const engine = createNativeEngine({ threads: 1 });
  const store = engine.createStore();
  for (const [i, { name, dtype, shape }] of storedTensors(program).entries()) {
    const random = new RandomStream(seed, STREAMS.simulate, [i, 0, 0]);
    store.define({ name, dtype, shape });
    store.write(
      name,
      Float32Array.from({ length: countElements(shape, {}) }, () => random.normal()),
    );
  }
  using made = new Model({ ...encoding, config, training: {} }, program, engine, store);
  await saveModel(made, folder);
  return openModel(folder, { threads });
}
