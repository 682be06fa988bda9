import { AGE_INPUTS, type TrainingBatchOptions } from "../data/batches.js";
import type { Encoding } from "../data/clicks.js";
import {
  clickNumbers,
  type ItemFeature,
  itemFeatures,
  type Schema,
  type UserFeature,
  userFeatures,
  userFeaturesOf,
} from "../data/schema.js";
import { nearestName, ShortlistError } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { dense } from "../layers/dense.js";
import { lstmLayer } from "../layers/lstm.js";
import { add, embeddingBag, embeddingLookup, linear, rangeLast, rangeMax, rowNumbers } from "../ops/index.js";
import { type ModelConfig, ORIGINAL_WIDTHS } from "./config.js";
import { type Dropouts, NO_DROPOUTS } from "./dropouts.js";
import { attributeTable, table, teaches } from "./tables.js";

/** How the network of training differs from that of inference. */
export interface NetworkOptions {
  /** Dropouts of the training network (default: none). */
  readonly drop?: Dropouts;
  /**
   * Whether features of users have one row for each user of a batch instead of one for each sample (`groupUsers` of the
   * batch options).
   */
  readonly groupUsers?: boolean;
  /**
   * Whether the LSTM's input has one row for each distinct item of a batch instead of one for each position
   * (`distinctItems` of the batch options).
   */
  readonly distinctItems?: boolean;
}

/**
 * The rows that training computes once for several samples or positions.
 *
 * - `groupUsers`: what depends on the user alone. Not possible with dropout, which differs from sample to sample.
 * - `distinctItems`: the LSTM's input. Only possible if that input is the item embedding alone, without dropout.
 */
export function rowOptions(
  config: ModelConfig,
  schema: Schema,
): { readonly groupUsers: boolean; readonly distinctItems: boolean } {
  const { batching, dropout, userDropout, history, attributes, embeddingDropout, lastClick } = config;
  const isItemAlone = attributes === "pooled" && numbersOfClicks(config, schema).length === 0;
  return {
    groupUsers: batching === "shared" && dropout === 0 && userDropout === 0,
    distinctItems: history === "lstm" && isItemAlone && embeddingDropout === 0 && !lastClick,
  };
}

/** The batch options that a configuration trains with on a log of this schema. */
export function trainingBatchOptions(
  config: ModelConfig,
  schema: Schema,
): Omit<TrainingBatchOptions, "clicks" | "seed"> {
  const { window, windows, batchSize, batching } = config;
  return { window, windows, batchSize, batching, ...rowOptions(config, schema) };
}

/** Names of the numbers of clicks that the network reads. */
function numbersOfClicks({ exclude }: ModelConfig, schema: Schema): string[] {
  return clickNumbers(schema).filter((name) => !exclude.includes(name));
}

/**
 * Adds the recall network up to the user vector to a graph (docs/math.md#the-network), and returns the user vector
 * [samples, userVectorWidth]. The schema determines the features.
 *
 * - The clicked items go through the LSTM, which is read at its last timestep or at its maximum over time; or their
 *   embeddings are averaged.
 * - Item attributes are added to the item embeddings, averaged over the window, or both.
 * - Numbers of the clicks are multiplied by a matrix and added to the item embeddings that the LSTM reads, or averaged
 *   with them.
 * - User features are looked up, and averaged if they have several values.
 * - The tokens of the last searches are averaged.
 * - The concatenation of all these goes through the hidden ReLU layers.
 *
 * Tensors of the network are named `layer.part`. Inputs have no dot in their names, so a feature may have any name.
 */
export function userVector(
  graph: Graph,
  config: ModelConfig,
  encoding: Encoding,
  { drop = NO_DROPOUTS, groupUsers = false, distinctItems = false }: NetworkOptions = {},
): Tensor {
  checkFeatureNames(config, encoding.schema);
  const { item, attributes, before, after, searches, numbers } = featureOrder(encoding.schema);
  const userRows = groupUsers ? "users" : "samples";
  const used = ({ name }: { readonly name: string }) => !config.exclude.includes(name);
  const lookUp = ({ name, multiple }: UserFeature) => {
    const own = table(graph, config, encoding, name);
    const values = graph.input(name, "int32", [multiple ? name : userRows]);
    const ids = drop.ids(name, values, encoding.vocabularies.get(name)!.size);
    if (!multiple) return embeddingLookup(graph, `${name}.embedding`, own, ids);
    return embeddingBag(graph, `${name}.mean`, { table: own, ids, ...rangeInputs(graph, name, userRows) });
  };
  const inputs = [
    ...itemHistory(graph, config, encoding, item, drop, distinctItems),
    ...before.filter(used).map(lookUp),
    ...(config.attributes === "sequence"
      ? []
      : attributes.filter(used).map((feature) => pooledAttribute(graph, config, encoding, feature))),
    ...after.filter(used).map(lookUp),
    ...searches.filter(used).map(({ name }) => searchMean(graph, name, table(graph, config, encoding, name))),
  ];
  if (numbers > 0) inputs.push(graph.input("numbers", "float32", [userRows, numbers]));
  if (config.exampleAge) inputs.push(graph.input("example_age", "float32", ["samples", AGE_INPUTS]));

  const groupOffsets = groupUsers ? graph.input("user_offsets", "int32", ["users+1"]) : undefined;
  const { precision } = config;
  let layer: readonly Tensor[] = inputs;
  config.hiddenWidths.forEach((width, index) => {
    const name = `hidden${index + 1}`;
    layer = [dense(graph, name, drop.layer(layer), { width, activation: "relu", precision, groupOffsets })];
  });
  if (config.skipHidden && layer !== inputs) layer = [...layer, ...inputs];
  return dense(graph, "user_vector", drop.layer(layer), {
    width: config.userVectorWidth,
    activation: config.userVectorActivation,
    precision,
    groupOffsets,
  });
}

/** The features in the order of the log's columns. Item attributes take the place of the clicks column. */
function featureOrder(schema: Schema) {
  const [item, ...attributes] = itemFeatures(schema);
  const clicksColumn = schema.columns.findIndex(({ kind }) => kind === "clicks");
  const categorical = userFeaturesOf(schema, "categorical");
  return {
    item: item!,
    attributes,
    before: categorical.filter(({ column }) => column < clicksColumn),
    after: categorical.filter(({ column }) => column > clicksColumn),
    searches: userFeaturesOf(schema, "tokens"),
    numbers: userFeaturesOf(schema, "number").length,
  };
}

/** The range of values of each row. */
function rangeInputs(graph: Graph, name: string, rows: string) {
  const bound = (which: string) => graph.input(`${name}_${which}`, "int32", [rows]);
  return { start: bound("start"), end: bound("end") };
}

/** The mean of the embeddings of all tokens of the last searches before each sample's target; 0 without any. */
function searchMean(graph: Graph, name: string, own: Tensor): Tensor {
  const ids = graph.input(name, "int32", [name]);
  const offsets = graph.input(`${name}_offsets`, "int32", [`${name}_queries+1`]);
  return embeddingBag(graph, `${name}.mean`, { table: own, ids, offsets, ...rangeInputs(graph, name, "samples") });
}

/** The range of positions that each sample pools over. */
function window(graph: Graph) {
  return {
    start: graph.tensor("sample_start") ?? graph.input("sample_start", "int32", ["samples"]),
    end: graph.tensor("sample_end") ?? graph.input("sample_end", "int32", ["samples"]),
  };
}

/** The tensors [samples, width] that the layers above read of the clicked items. */
function itemHistory(
  graph: Graph,
  config: ModelConfig,
  encoding: Encoding,
  item: ItemFeature,
  drop: Dropouts,
  distinctItems: boolean,
): readonly Tensor[] {
  const ids = distinctItems
    ? graph.input("distinct_item", "int32", ["distinct"])
    : graph.input(item.name, "int32", ["positions"]);
  const items = table(graph, config, encoding, item.name);
  if (config.history === "mean") {
    return [
      embeddingBag(graph, "history.mean", { table: items, ids, ...window(graph) }),
      ...numberInputs(graph, config, encoding).map((numbers) => {
        const own = { table: numbers, ids: eachPosition(graph, encoding).start, ...window(graph) };
        return embeddingBag(graph, `${numbers.name}.mean`, own);
      }),
    ];
  }
  const { lstmWidth: width, peepholes, forgetBias, precision } = config;
  const layerOptions = { width, peepholes, forgetBias, precision };
  const position = graph.input(distinctItems ? "timestep_item" : "timestep_position", "int32", ["timesteps"]);
  const sequenceOffsets = graph.input("sequence_offsets", "int32", ["sequences+1"]);
  const itemEmbedding = embeddingLookup(graph, `${item.name}.embedding`, items, ids);
  const input = drop.embedding(clickEmbedding(graph, config, encoding, itemEmbedding));
  let hidden = lstmLayer(graph, "lstm", { input, position, sequenceOffsets }, layerOptions);
  for (let layer = 2; layer <= config.lstmLayers; layer++) {
    const below = {
      input: drop.embedding(hidden),
      position: rowNumbers(graph, "lstm.timestep", position),
      sequenceOffsets,
    };
    hidden = lstmLayer(graph, `lstm${layer}`, below, layerOptions);
  }
  const timesteps = {
    input: hidden,
    start: graph.input("timestep_start", "int32", ["samples"]),
    end: graph.input("timestep_end", "int32", ["samples"]),
  };
  const pooled =
    config.pooling === "last" ? rangeLast(graph, "history.last", timesteps) : rangeMax(graph, "history.max", timesteps);
  return config.lastClick ? [pooled, rangeLast(graph, "history.click", { input, ...window(graph) })] : [pooled];
}

/** The numbers of the clicks at the positions, standardised: [positions, 1] each. */
function numberInputs(graph: Graph, config: ModelConfig, { schema }: Encoding): Tensor[] {
  return numbersOfClicks(config, schema).map((name) => graph.input(name, "float32", ["positions", 1]));
}

/**
 * The embedding of each position's item, plus a linear function of the numbers of the click, plus, if `attributes` is
 * not "pooled", the embeddings of the item's attributes: [positions, width].
 */
function clickEmbedding(graph: Graph, config: ModelConfig, encoding: Encoding, itemAlone: Tensor): Tensor {
  const numbers = numberInputs(graph, config, encoding);
  const item = numbers.length === 0 ? itemAlone : withNumbers(graph, config, itemAlone, numbers);
  if (config.attributes === "pooled") return item;
  const attributes = itemFeatures(encoding.schema).slice(1);
  return attributes
    .filter(({ name }) => teaches(config, encoding, name))
    .reduce((sum, feature) => {
      const own = attributeTable(graph, config, encoding, feature.name, "history");
      const { ids, offsets } = attributeInputs(graph, feature);
      const name = `${feature.name}.click`;
      const embedding = offsets
        ? embeddingBag(graph, name, { table: own, ids, offsets, ...eachPosition(graph, encoding) })
        : embeddingLookup(graph, name, own, ids);
      return add(graph, `click.with_${feature.name}`, sum, embedding);
    }, item);
}

/** The sum of each position's embedding and a linear function of its numbers, which begins as small as an embedding. */
function withNumbers(graph: Graph, config: ModelConfig, embedding: Tensor, numbers: readonly Tensor[]): Tensor {
  const weight = graph.parameter("click.numbers_weight", [numbers.length, embedding.shape[1] as number], {
    kind: "normal",
    standardDeviation: config.embeddingDeviation,
  });
  const { precision } = config;
  const product = linear(graph, "click.numbers", numbers, weight, undefined, { activation: "none", precision });
  return add(graph, "click.with_numbers", embedding, product);
}

/** One range for each position, of that position alone. */
function eachPosition(graph: Graph, encoding: Encoding) {
  const like = graph.tensor(encoding.schema.click[0]!.name)!;
  return {
    start: graph.tensor("position.start") ?? rowNumbers(graph, "position.start", like),
    end: graph.tensor("position.end") ?? rowNumbers(graph, "position.end", like, 1),
  };
}

function attributeInputs(graph: Graph, { name, multiple }: ItemFeature) {
  const input = (name: string, length: string) => graph.tensor(name) ?? graph.input(name, "int32", [length]);
  return {
    ids: input(name, multiple ? name : "positions"),
    offsets: multiple ? input(`${name}_offsets`, "positions+1") : undefined,
  };
}

function pooledAttribute(graph: Graph, config: ModelConfig, encoding: Encoding, feature: ItemFeature): Tensor {
  return embeddingBag(graph, `${feature.name}.mean`, {
    table: table(graph, config, encoding, feature.name),
    ...attributeInputs(graph, feature),
    ...window(graph),
  });
}

function checkFeatureNames(config: ModelConfig, schema: Schema): void {
  const features = [...userFeatures(schema), ...itemFeatures(schema)].map(({ name }) => name);
  const check = (key: "exclude" | "embeddingWidths", name: string) => {
    const names = key === "exclude" ? [...features, ...clickNumbers(schema)] : features;
    if (names.includes(name)) return;
    const nearest = nearestName(name, names);
    const hint = nearest ? `. Did you mean "${nearest}"?` : `; it has ${names.join(", ")}`;
    throw new ShortlistError("ERR_CONFIG", `"${key}" names "${name}", which is no feature of the schema${hint}`);
  };
  for (const name of config.exclude) check("exclude", name);
  for (const name of Object.keys(config.embeddingWidths)) {
    if (!Object.hasOwn(ORIGINAL_WIDTHS, name)) check("embeddingWidths", name);
  }
  const item = schema.click[0]!.name;
  if (config.exclude.includes(item)) {
    throw new ShortlistError("ERR_CONFIG", `"exclude" names "${item}", which is what the network predicts`);
  }
}
