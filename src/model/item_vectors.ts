import { type Encoding, type ItemValues, itemVocabulary } from "../data/clicks.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { add, embeddingBag, embeddingLookup, rowNumbers } from "../ops/index.js";
import type { CatalogueConfig, ModelConfig } from "./config.js";
import { attributeTable, table, teaches } from "./tables.js";

/** The output layer: the score of item i is weight[i] · user vector + bias[i]. */
export interface ItemVectors {
  /** [items, userVectorWidth] */
  readonly weight: Tensor;
  /** [items] */
  readonly bias: Tensor;
}

/**
 * The item vectors as a saved model stores them. Their initial value is 0 if training composes them from other tables.
 */
export function itemVectors(graph: Graph, config: ModelConfig, encoding: Encoding): ItemVectors {
  const items = itemVocabulary(encoding).size;
  const weight =
    config.tiedItems || config.itemAttributes === true
      ? graph.parameter("output.weight", [items, config.userVectorWidth], { kind: "zeros" })
      : outputTable(graph, config, "output.weight", items);
  return { weight, bias: graph.parameter("output.bias", [items], { kind: "zeros" }) };
}

/** Whether training composes the item vectors from several tables (`composedItemVectors`). */
export function composesItems({ tiedItems, itemAttributes }: CatalogueConfig): boolean {
  return tiedItems || itemAttributes;
}

/** The attributes whose embeddings are a part of the item vectors. */
function attributesOf(config: CatalogueConfig, encoding: Encoding, catalogue: readonly ItemValues[]): ItemValues[] {
  return config.itemAttributes ? catalogue.filter(({ name }) => teaches(config, encoding, name)) : [];
}

/**
 * The name of the table whose rows are the item vectors, if training has them in one table of another name than
 * `output.weight`. Undefined if it composes them from several tables, or trains `output.weight` itself.
 */
export function itemVectorsTable(
  config: CatalogueConfig,
  encoding: Encoding,
  catalogue: readonly ItemValues[],
): string | undefined {
  if (!composesItems(config) || attributesOf(config, encoding, catalogue).length > 0) return undefined;
  return config.tiedItems ? `embedding.${encoding.schema.click[0]!.name}` : "output.row";
}

/**
 * The item vectors as a sum of tables: a row for each item (its embedding if items are tied) plus the mean embedding of
 * each attribute. `catalogue` has the attributes of every item.
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
  const attributes = attributesOf(config, encoding, catalogue);
  if (attributes.length > 0) {
    const start = constant(
      item.name,
      Int32Array.from({ length: items }, (_, i) => i),
    );
    const numbered = { start, end: rowNumbers(graph, "items.row_end", start, 1) };
    for (const { name, ids, offsets } of attributes) {
      const own = attributeTable(graph, config, encoding, name, config.tiedItems ? "history" : "output");
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

/** A table of item vectors: [items, userVectorWidth]. */
function outputTable(graph: Graph, { userVectorWidth, outputDeviation }: ModelConfig, name: string, items: number) {
  const standardDeviation = outputDeviation || 1 / Math.sqrt(items);
  return graph.parameter(name, [items, userVectorWidth], { kind: "normal", standardDeviation });
}
