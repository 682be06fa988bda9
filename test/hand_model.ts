import type { Clicks } from "../src/data/clicks.js";
import { parseSchema } from "../src/data/schema.js";
import { UNKNOWN, Vocabulary } from "../src/data/vocabulary.js";
import { createNativeEngine } from "../src/executors/native.js";
import { countElements } from "../src/graph/dims.js";
import { storedTensors } from "../src/graph/program.js";
import { resolveConfig } from "../src/model/config.js";
import { Model } from "../src/model/model.js";
import { inferenceProgram } from "../src/model/programs.js";

// A model that is small enough to compute by hand. A user's vector is the mean of the clicked items' embeddings plus
// the user's own embedding. An item's score is the inner product of its weight with that vector, plus its bias.

export const [A, B, C, D, E] = [1, 2, 3, 4, 5];
export const ITEMS = ["a", "b", "c", "d", "e"];
export const [ANN, BOB] = [1, 2];

/** Numbers of clicks of the items in the training log. */
const COUNTS = [5, 3, 3, 1, 0];

const TABLES: Readonly<Record<string, readonly (readonly number[])[]>> = {
  "embedding.item": [
    [0, 0],
    [1, 0],
    [0, 1],
    [1, 1],
    [0, 0],
    [0, 0],
  ],
  "embedding.user_id": [
    [0, 0],
    [1, 0],
    [0, 2],
  ],
  "user_vector.weight": [
    [1, 0],
    [0, 1],
    [1, 0],
    [0, 1],
  ],
  "user_vector.bias": [[0, 0]],
  "output.weight": [
    [9, 9],
    [2, 0],
    [0, 2],
    [1, 1],
    [-1, 0],
    [0, 0],
  ],
  "output.bias": [[9, 0, 0, 0, 0.5, 1]],
};

/** Creates the model. Close it after use. */
export function handModel(): Model {
  return modelOf(ITEMS, COUNTS, 2, 1, (name) => Float32Array.from(TABLES[name]!.flat()));
}

/** Creates such a model with other items, and vectors of another width. `valuesOf` returns the elements of a tensor. */
export function modelOf(
  items: readonly string[],
  counts: readonly number[],
  width: number,
  threads: number,
  valuesOf: (name: string, elements: number) => Float32Array,
): Model {
  const schema = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click: [{ name: "item" }] });
  const encoding = {
    schema,
    vocabularies: new Map([
      ["user_id", new Vocabulary([UNKNOWN, "ann", "bob"], Float64Array.of(0, 1, 1))],
      ["item", new Vocabulary([UNKNOWN, ...items], Float64Array.from([7, ...counts]))],
    ]),
    numbers: new Map(),
  };
  const config = resolveConfig("paddle", {
    history: "mean",
    embeddingWidths: { item: width, user_id: width },
    hiddenWidths: [],
    userVectorWidth: width,
    userVectorActivation: "none",
  });
  const { program } = inferenceProgram(config, encoding);
  const engine = createNativeEngine({ threads });
  const store = engine.createStore();
  for (const { name, dtype, shape } of storedTensors(program)) {
    store.define({ name, dtype, shape });
    store.write(name, valuesOf(name, countElements(shape, {})));
  }
  return new Model({ ...encoding, config, training: {} }, program, engine, store);
}

/** Makes clicks of users, each given as a user id and item ids, the oldest first. */
export function clicksOf(users: readonly (readonly [user: number, items: readonly number[]])[]): Clicks {
  const clickOffsets = [0];
  for (const [, items] of users) clickOffsets.push(clickOffsets.at(-1)! + items.length);
  const ids = Int32Array.from(users.flatMap(([, items]) => items));
  return {
    users: users.length,
    clicks: ids.length,
    clickOffsets: Int32Array.from(clickOffsets),
    userFeatures: [{ name: "user_id", ids: Int32Array.from(users, ([user]) => user) }],
    numbers: [],
    itemFeatures: [{ name: "item", ids, offsets: undefined }],
  };
}
