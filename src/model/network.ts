import { AGE_INPUTS } from "../data/batches.js";
import { type Encoding, itemVocabulary } from "../data/clicks.js";
import { type ItemFeature, itemFeatures, type Schema, userFeatures } from "../data/schema.js";
import { nearestName, ShortlistError } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { dense } from "../layers/dense.js";
import { embeddingTable } from "../layers/embedding.js";
import { lstmLayer } from "../layers/lstm.js";
import { dropIds, dropout, embeddingBag, embeddingLookup, rangeLast, rangeMax } from "../ops/index.js";
import type { ModelConfig } from "./config.js";

export interface RecallNetwork {
  /** [samples, userVectorWidth] */
  readonly userVector: Tensor;
  /** [items, userVectorWidth]: item i scores outputWeight[i] · userVector + outputBias[i] */
  readonly outputWeight: Tensor;
  /** [items] */
  readonly outputBias: Tensor;
}

/**
 * Tensors of the network are named `layer.part`; only inputs have no dot, so a feature may have any name.
 *
 * The recall network (Covington et al. 2016; PaddlePaddle's youtube_recall), up to the user vector: the clicked items
 * through an LSTM and a maximum over time (or their mean), item attributes averaged over the window, user features looked
 * up; all concatenated, then the hidden ReLU layers and the user vector. Which features there are is the schema's say.
 */
export function recallNetwork(
  graph: Graph,
  config: ModelConfig,
  encoding: Encoding,
  drop: Dropouts = NO_DROPOUTS,
): RecallNetwork {
  checkFeatureNames(config, encoding.schema);
  const { item, attributes, before, after, numbers } = featureOrder(encoding.schema);
  const used = ({ name }: { readonly name: string }) => !config.exclude.includes(name);
  const lookUp = ({ name }: { readonly name: string }) =>
    embeddingLookup(
      graph,
      `${name}.embedding`,
      table(graph, config, encoding, name),
      drop.ids(name, graph.input(name, "int32", ["samples"]), encoding.vocabularies.get(name)!.size),
    );
  const inputs = [
    itemHistory(graph, config, encoding, item, drop),
    ...before.filter(used).map(lookUp),
    ...attributes.filter(used).map((feature) => pooledAttribute(graph, config, encoding, feature)),
    ...after.filter(used).map(lookUp),
  ];
  if (numbers > 0) inputs.push(graph.input("numbers", "float32", ["samples", numbers]));
  if (config.exampleAge) inputs.push(graph.input("example_age", "float32", ["samples", AGE_INPUTS]));

  let layer: readonly Tensor[] = inputs;
  config.hiddenWidths.forEach((width, index) => {
    const name = `hidden${index + 1}`;
    layer = [dense(graph, name, drop.layer(layer), { width, activation: "relu", precision: config.precision })];
  });
  const userVector = dense(graph, "user_vector", drop.layer(layer), {
    width: config.userVectorWidth,
    activation: config.userVectorActivation,
    precision: config.precision,
  });

  const items = itemVocabulary(encoding).size;
  const outputWeight = graph.parameter("output.weight", [items, config.userVectorWidth], {
    kind: "normal",
    standardDeviation: config.outputDeviation || 1 / Math.sqrt(items),
  });
  const outputBias = graph.parameter("output.bias", [items], { kind: "zeros" });
  return { userVector, outputWeight, outputBias };
}

/** What training leaves out at random; inference leaves out nothing. */
export interface Dropouts {
  embedding(input: Tensor): Tensor;
  layer(inputs: readonly Tensor[]): readonly Tensor[];
  /** The ids of a user's feature. */
  ids(feature: string, ids: Tensor, limit: number): Tensor;
}

const NO_DROPOUTS: Dropouts = { embedding: (x) => x, layer: (x) => x, ids: (_, x) => x };

/** The configuration's dropouts, each with draws of its own. */
export function trainingDropouts(
  graph: Graph,
  { embeddingDropout, dropout: rate, userDropout }: ModelConfig,
  inputs: { readonly seed: Tensor; readonly step: Tensor },
): Dropouts {
  let site = 0;
  const drop = (input: Tensor, rate: number) =>
    rate === 0 ? input : dropout(graph, `${input.name}.dropped`, { input, ...inputs }, { rate, site: site++ });
  return {
    embedding: (input) => drop(input, embeddingDropout),
    layer: (layer) => layer.map((input) => drop(input, rate)),
    ids: (feature, ids, limit) =>
      userDropout === 0 || feature !== "user_id"
        ? ids
        : dropIds(graph, `${feature}.dropped`, { ids, ...inputs }, { rate: userDropout, site: site++, limit }),
  };
}

/** The features in the order of the log's columns, the clicks' attributes at the place of the clicks. */
function featureOrder(schema: Schema) {
  const [item, ...attributes] = itemFeatures(schema);
  const clicksColumn = schema.columns.findIndex(({ kind }) => kind === "clicks");
  const categorical = userFeatures(schema).filter(({ kind }) => kind === "categorical");
  return {
    item: item!,
    attributes,
    before: categorical.filter(({ column }) => column < clicksColumn),
    after: categorical.filter(({ column }) => column > clicksColumn),
    numbers: userFeatures(schema).length - categorical.length,
  };
}

function table(graph: Graph, config: ModelConfig, encoding: Encoding, feature: string): Tensor {
  const width = config.embeddingWidths[feature] ?? config.defaultEmbeddingWidth;
  return embeddingTable(graph, feature, encoding.vocabularies.get(feature)!.size, width, config.embeddingDeviation);
}

/** The window of positions that each sample pools over. */
function window(graph: Graph) {
  return {
    start: graph.tensor("sample_start") ?? graph.input("sample_start", "int32", ["samples"]),
    end: graph.tensor("sample_end") ?? graph.input("sample_end", "int32", ["samples"]),
  };
}

function itemHistory(graph: Graph, config: ModelConfig, encoding: Encoding, item: ItemFeature, drop: Dropouts): Tensor {
  const ids = graph.input(item.name, "int32", ["positions"]);
  const items = table(graph, config, encoding, item.name);
  if (config.history === "mean") return embeddingBag(graph, "history.mean", { table: items, ids, ...window(graph) });
  const hidden = lstmLayer(
    graph,
    "lstm",
    {
      input: drop.embedding(embeddingLookup(graph, `${item.name}.embedding`, items, ids)),
      position: graph.input("step_position", "int32", ["steps"]),
      runOffsets: graph.input("run_offsets", "int32", ["runs+1"]),
    },
    {
      width: config.lstmWidth,
      peepholes: config.peepholes,
      forgetBias: config.forgetBias,
      precision: config.precision,
    },
  );
  const steps = {
    input: hidden,
    start: graph.input("step_start", "int32", ["samples"]),
    end: graph.input("step_end", "int32", ["samples"]),
  };
  return config.pooling === "last" ? rangeLast(graph, "history.last", steps) : rangeMax(graph, "history.max", steps);
}

function pooledAttribute(
  graph: Graph,
  config: ModelConfig,
  encoding: Encoding,
  { name, multiple }: ItemFeature,
): Tensor {
  return embeddingBag(graph, `${name}.mean`, {
    table: table(graph, config, encoding, name),
    ids: graph.input(name, "int32", [multiple ? name : "positions"]),
    ...window(graph),
    ...(multiple && { offsets: graph.input(`${name}_offsets`, "int32", ["positions+1"]) }),
  });
}

function checkFeatureNames(config: ModelConfig, schema: Schema): void {
  const names = [...userFeatures(schema), ...itemFeatures(schema)].map(({ name }) => name);
  for (const name of config.exclude) {
    if (names.includes(name)) continue;
    const nearest = nearestName(name, names);
    const hint = nearest ? `. Did you mean "${nearest}"?` : `; it has ${names.join(", ")}`;
    throw new ShortlistError("ERR_CONFIG", `"exclude" names "${name}", which is no feature of the schema${hint}`);
  }
  const item = schema.click[0]!.name;
  if (config.exclude.includes(item)) {
    throw new ShortlistError("ERR_CONFIG", `"exclude" names "${item}", which is what the network predicts`);
  }
}
