import { createTrainingBatches, type TrainingBatchOptions } from "../../src/data/batches.js";
import { itemAttributes } from "../../src/data/catalogue.js";
import type { Encoding } from "../../src/data/clicks.js";
import { parseSchema } from "../../src/data/schema.js";
import { UNKNOWN, Vocabulary } from "../../src/data/vocabulary.js";
import type { Engine } from "../../src/executors/executor.js";
import { forCatalogue, type ModelConfig, resolveConfig } from "../../src/model/config.js";
import { initializeStore } from "../../src/model/initialize.js";
import { rowOptions } from "../../src/model/network.js";
import { trainingProgram } from "../../src/model/programs.js";
import { aliasTable } from "../../src/random/alias_table.js";
import {
  LANGUAGES,
  LENGTHS,
  randomClicks,
  TOKENS,
  withNumbers,
  withSearches,
  withWeights,
} from "../data/random_clicks.js";

/**
 * A small network on the clicks of `randomClicks`, also with searches, weights or numbers of clicks. `changes` are keys
 * of its configuration.
 */
export function trainingCase(
  engine: Engine,
  options: Partial<TrainingBatchOptions> = {},
  items = 9,
  changes: Partial<ModelConfig> = {},
  { hasSearches = false, hasWeights = false, hasNumbers = false } = {},
) {
  const plain = randomClicks([...LENGTHS, 60, 70], 0.1);
  const searched = hasSearches ? withSearches(plain) : plain;
  const weighted = hasWeights ? withWeights(searched) : searched;
  const clicks = hasNumbers ? withNumbers(weighted) : weighted;
  const sizes = {
    ...{ user_id: clicks.users, city: 3, item: items, category: clicks.clicks + 1, tags: 10 * clicks.clicks },
    ...(hasSearches && { languages: LANGUAGES, searches: TOKENS, past: TOKENS }),
  };
  const names = (size: number) => [UNKNOWN, ...Array.from({ length: size - 1 }, (_, i) => `t${i}`)];
  const schema = parseSchema(
    {
      columns: [
        { name: "user_id" },
        { name: "city" },
        { name: "age", kind: "number" },
        { name: "same", kind: "number" },
        { name: "clicks" },
        ...(hasSearches
          ? [
              { name: "languages", multiple: true },
              { name: "searches", kind: "tokens" },
            ]
          : []),
        ...(hasSearches ? [{ name: "past", kind: "tokens" }] : []),
      ],
      click: [
        ...[{ name: "item" }, { name: "category" }, { name: "tags", multiple: true }],
        ...(hasWeights ? [{ name: "weight", kind: "weight" }] : []),
        ...(clicks.clickNumbers ?? []).map(({ name }) => ({ name, kind: "number" })),
      ],
    },
    "schema.json",
  );
  const encoding: Encoding = {
    schema,
    vocabularies: new Map(
      Object.entries(sizes).map(([name, size]) => [name, new Vocabulary(names(size), new Float64Array(size).fill(1))]),
    ),
    numbers: new Map(
      [...clicks.numbers, ...(clicks.clickNumbers ?? [])].map(({ name, mean, standardDeviation }) => [
        name,
        { mean, standardDeviation },
      ]),
    ),
  };
  const config = resolveConfig("paddle", {
    peepholes: false,
    userVectorWidth: 12,
    userVectorActivation: "none",
    loss: "sampled_softmax",
    sharedDraws: true,
    noisePower: 0.75,
    reduction: "mean",
    optimizer: "adam",
    l2: 0,
    l2Output: false,
    embeddingDeviation: 0.05,
    outputDeviation: 0.05,
    defaultEmbeddingWidth: 4,
    embeddingWidths: {},
    lstmWidth: 8,
    hiddenWidths: [8],
    draws: 4,
    batching: options.batching ?? "shuffled",
    ...changes,
  });
  const widths = forCatalogue({ ...config, embeddingWidths: {} }, items);
  const distribution = Float64Array.from({ length: items }, (_, i) => (i === 0 ? 0 : 1 / (items - 1)));
  const noise = { distribution, aliasTable: aliasTable(distribution) };
  const catalogue = itemAttributes(clicks, items);
  const { program, initializers } = trainingProgram(widths, encoding, noise, catalogue);
  const store = engine.createStore();
  initializeStore(store, program, initializers, 1);
  const batchOptions = {
    clicks,
    window: 5,
    batchSize: 16,
    seed: 3,
    ...rowOptions(widths, encoding.schema),
    ...options,
  };
  return {
    store,
    config: widths,
    encoding,
    catalogue,
    program,
    executor: engine.createExecutor(program, store),
    batches: engine.createTrainingBatches(batchOptions),
    reference: createTrainingBatches(batchOptions),
  };
}

/** The scalar inputs of `count` steps from step `first` on. */
export function scalars(first: number, count: number) {
  return {
    seed: Uint32Array.of(7),
    step: Uint32Array.from({ length: count }, (_, i) => first + i),
    learning_rate: Float32Array.of(0.01),
  };
}
