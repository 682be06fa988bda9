import { AGE_INPUTS } from "../data/batches.js";
import { type Encoding, type ItemValues, itemVocabulary } from "../data/clicks.js";
import { type ItemFeature, itemFeatures, type Schema, userFeatures } from "../data/schema.js";
import { nearestName, ShortlistError } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { dense } from "../layers/dense.js";
import { embeddingTable } from "../layers/embedding.js";
import { lstmLayer } from "../layers/lstm.js";
import { add, dropIds, dropout, embeddingBag, embeddingLookup, rangeLast, rangeMax, rowNumbers } from "../ops/index.js";
import type { CatalogueConfig, ModelConfig } from "./config.js";

/**
 * Tensors of the network are named `layer.part`; only inputs have no dot, so a feature may have any name.
 *
 * The recall network (Covington et al. 2016; PaddlePaddle's youtube_recall), up to the user vector: the clicked items
 * through an LSTM and a maximum over time (or their mean), item attributes averaged over the window, user features looked
 * up; all concatenated, then the hidden ReLU layers and the user vector [samples, userVectorWidth]. Which features there
 * are is the schema's say.
 */
export function userVector(
  graph: Graph,
  config: ModelConfig,
  encoding: Encoding,
  drop: Dropouts = NO_DROPOUTS,
): Tensor {
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
    ...itemHistory(graph, config, encoding, item, drop),
    ...before.filter(used).map(lookUp),
    ...(config.attributes === "sequence"
      ? []
      : attributes.filter(used).map((feature) => pooledAttribute(graph, config, encoding, feature))),
    ...after.filter(used).map(lookUp),
  ];
  if (numbers > 0) inputs.push(graph.input("numbers", "float32", ["samples", numbers]));
  if (config.exampleAge) inputs.push(graph.input("example_age", "float32", ["samples", AGE_INPUTS]));

  let layer: readonly Tensor[] = inputs;
  config.hiddenWidths.forEach((width, index) => {
    const name = `hidden${index + 1}`;
    layer = [dense(graph, name, drop.layer(layer), { width, activation: "relu", precision: config.precision })];
  });
  if (config.skipHidden && layer !== inputs) layer = [...layer, ...inputs];
  return dense(graph, "user_vector", drop.layer(layer), {
    width: config.userVectorWidth,
    activation: config.userVectorActivation,
    precision: config.precision,
  });
}

/** Item i scores weight[i] · user vector + bias[i]. */
export interface ItemVectors {
  /** [items, userVectorWidth] */
  readonly weight: Tensor;
  /** [items] */
  readonly bias: Tensor;
}

/** The item vectors as a saved model has them; 0 at the start where training puts them together elsewhere. */
export function itemVectors(graph: Graph, config: ModelConfig, encoding: Encoding): ItemVectors {
  const items = itemVocabulary(encoding).size;
  const weight =
    config.tiedItems || config.itemAttributes === true
      ? graph.parameter("output.weight", [items, config.userVectorWidth], { kind: "zeros" })
      : outputTable(graph, config, "output.weight", items);
  return { weight, bias: graph.parameter("output.bias", [items], { kind: "zeros" }) };
}

/** Whether the item vectors are put together from other tables (`composedItemVectors`). */
export function composesItems({ tiedItems, itemAttributes }: CatalogueConfig): boolean {
  return tiedItems || itemAttributes;
}

/**
 * The item vectors as training knows them where they are not simply `output.weight`: a row for the item, its embedding
 * where they are tied, plus the mean of each attribute's embeddings. `catalogue` holds the attributes of every item.
 */
export function composedItemVectors(
  graph: Graph,
  config: CatalogueConfig,
  encoding: Encoding,
  catalogue: readonly ItemValues[],
): ItemVectors {
  const item = encoding.schema.click[0]!;
  const items = itemVocabulary(encoding).size;
  const constant = (name: string, values: Int32Array) =>
    graph.constant(`catalogue.${name}`, "int32", [values.length], { kind: "values", values });
  let weight = config.tiedItems
    ? (graph.tensor(`embedding.${item.name}`) ?? table(graph, config, encoding, item.name))
    : outputTable(graph, config, "output.row", items);
  const attributes = config.itemAttributes ? catalogue.filter(({ name }) => teaches(config, encoding, name)) : [];
  if (attributes.length > 0) {
    const start = constant(
      item.name,
      Int32Array.from({ length: items }, (_, i) => i),
    );
    const numbered = { start, end: rowNumbers(graph, "catalogue.end", start, 1) };
    for (const { name, ids, offsets } of attributes) {
      const own = attributeTable(graph, config, encoding, name, config.tiedItems ? "click" : "output");
      const values = { table: own, ids: constant(name, ids) };
      const mean = offsets
        ? embeddingBag(graph, `items.${name}`, {
            ...values,
            ...numbered,
            offsets: constant(`${name}_offsets`, offsets),
          })
        : embeddingLookup(graph, `items.${name}`, values.table, values.ids);
      weight = add(graph, `items.with_${name}`, weight, mean);
    }
  }
  return { weight, bias: graph.parameter("output.bias", [items], { kind: "zeros" }) };
}

/** Whether an attribute is read, and has another value than `<unk>`. */
function teaches(config: ModelConfig, { vocabularies }: Encoding, attribute: string): boolean {
  return !config.exclude.includes(attribute) && vocabularies.get(attribute)!.size > 1;
}

/** A table of item vectors: [items, userVectorWidth]. */
function outputTable(graph: Graph, { userVectorWidth, outputDeviation }: ModelConfig, name: string, items: number) {
  const standardDeviation = outputDeviation || 1 / Math.sqrt(items);
  return graph.parameter(name, [items, userVectorWidth], { kind: "normal", standardDeviation });
}

/** A table for an attribute of items, as wide as what it is added to. */
function attributeTable(
  graph: Graph,
  config: ModelConfig,
  encoding: Encoding,
  feature: string,
  scope: "click" | "output",
): Tensor {
  const name = `${scope}.${feature}`;
  const width = scope === "click" ? widthOf(config, encoding, encoding.schema.click[0]!.name) : config.userVectorWidth;
  const rows = encoding.vocabularies.get(feature)!.size;
  const standardDeviation =
    scope === "click" ? config.embeddingDeviation : config.outputDeviation || 1 / Math.sqrt(rows);
  return graph.tensor(name) ?? graph.parameter(name, [rows, width], { kind: "normal", standardDeviation });
}

/** How wide a feature's embeddings are: those of tied items are as wide as the user vector. */
function widthOf(config: ModelConfig, { schema }: Encoding, feature: string): number {
  if (config.tiedItems && feature === schema.click[0]!.name) return config.userVectorWidth;
  return config.embeddingWidths[feature] ?? config.defaultEmbeddingWidth;
}

/** What training leaves out at random; inference leaves out nothing. */
export interface Dropouts {
  embedding(input: Tensor): Tensor;
  /** Dense features, which are given, are left as they are. */
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
    layer: (layer) => layer.map((input) => (input.role === "input" ? input : drop(input, rate))),
    ids: (feature, ids, limit) =>
      userDropout === 0
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
  const { size } = encoding.vocabularies.get(feature)!;
  return embeddingTable(graph, feature, size, widthOf(config, encoding, feature), config.embeddingDeviation);
}

/** The window of positions that each sample pools over. */
function window(graph: Graph) {
  return {
    start: graph.tensor("sample_start") ?? graph.input("sample_start", "int32", ["samples"]),
    end: graph.tensor("sample_end") ?? graph.input("sample_end", "int32", ["samples"]),
  };
}

/** What the layers above read of the clicked items: [samples, width] each. */
function itemHistory(
  graph: Graph,
  config: ModelConfig,
  encoding: Encoding,
  item: ItemFeature,
  drop: Dropouts,
): readonly Tensor[] {
  const ids = graph.input(item.name, "int32", ["positions"]);
  const items = table(graph, config, encoding, item.name);
  if (config.history === "mean") return [embeddingBag(graph, "history.mean", { table: items, ids, ...window(graph) })];
  const { lstmWidth: width, peepholes, forgetBias, precision } = config;
  const layerOptions = { width, peepholes, forgetBias, precision };
  const position = graph.input("step_position", "int32", ["steps"]);
  const runOffsets = graph.input("run_offsets", "int32", ["runs+1"]);
  const itemEmbedding = embeddingLookup(graph, `${item.name}.embedding`, items, ids);
  const input = drop.embedding(clickEmbedding(graph, config, encoding, itemEmbedding));
  let hidden = lstmLayer(graph, "lstm", { input, position, runOffsets }, layerOptions);
  for (let layer = 2; layer <= config.lstmLayers; layer++) {
    const below = { input: drop.embedding(hidden), position: rowNumbers(graph, "lstm.step", position), runOffsets };
    hidden = lstmLayer(graph, `lstm${layer}`, below, layerOptions);
  }
  const steps = {
    input: hidden,
    start: graph.input("step_start", "int32", ["samples"]),
    end: graph.input("step_end", "int32", ["samples"]),
  };
  const pooled =
    config.pooling === "last" ? rangeLast(graph, "history.last", steps) : rangeMax(graph, "history.max", steps);
  return config.lastClick ? [pooled, rangeLast(graph, "history.click", { input, ...window(graph) })] : [pooled];
}

/** The embedding of each position's item and, where the sequence has them, its attributes: [positions, width]. */
function clickEmbedding(graph: Graph, config: ModelConfig, encoding: Encoding, item: Tensor): Tensor {
  if (config.attributes === "pooled") return item;
  const attributes = itemFeatures(encoding.schema).slice(1);
  return attributes
    .filter(({ name }) => teaches(config, encoding, name))
    .reduce((sum, feature) => {
      const own = attributeTable(graph, config, encoding, feature.name, "click");
      const { ids, offsets } = attributeInputs(graph, feature);
      const name = `${feature.name}.click`;
      const embedding = offsets
        ? embeddingBag(graph, name, { table: own, ids, offsets, ...eachPosition(graph, encoding) })
        : embeddingLookup(graph, name, own, ids);
      return add(graph, `click.with_${feature.name}`, sum, embedding);
    }, item);
}

/** Ranges of one position each. */
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
