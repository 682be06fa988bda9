import type { Encoding } from "../data/clicks.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { embeddingTable } from "../layers/embedding.js";
import type { ModelConfig } from "./config.js";

/** The embedding table of a feature: [values, width]. */
export function table(graph: Graph, config: ModelConfig, encoding: Encoding, feature: string): Tensor {
  const { size } = encoding.vocabularies.get(feature)!;
  return embeddingTable(graph, feature, size, widthOf(config, encoding, feature), config.embeddingDeviation);
}

/**
 * An embedding table of an item attribute, [values, width], whose rows are added to vectors of items: with "history" to
 * the embeddings of clicked items, with "output" to the item vectors. Later calls return the same table.
 */
export function attributeTable(
  graph: Graph,
  config: ModelConfig,
  encoding: Encoding,
  feature: string,
  use: "history" | "output",
): Tensor {
  const name = use === "history" ? `attribute.${feature}` : `output_attribute.${feature}`;
  const width = use === "history" ? widthOf(config, encoding, encoding.schema.click[0]!.name) : config.userVectorWidth;
  const rows = encoding.vocabularies.get(feature)!.size;
  const standardDeviation =
    use === "history" ? config.embeddingDeviation : config.outputDeviation || 1 / Math.sqrt(rows);
  return graph.tensor(name) ?? graph.parameter(name, [rows, width], { kind: "normal", standardDeviation });
}

/** The embedding width of a feature. Tied items have the width of the user vector. */
function widthOf(config: ModelConfig, { schema }: Encoding, feature: string): number {
  if (config.tiedItems && feature === schema.click[0]!.name) return config.userVectorWidth;
  const { embeddingWidths, defaultEmbeddingWidth } = config;
  // A feature may be called "constructor", which every object inherits.
  return Object.hasOwn(embeddingWidths, feature) ? embeddingWidths[feature]! : defaultEmbeddingWidth;
}

/** Whether the network reads an attribute, and the attribute has values other than `<unk>`. */
export function teaches(config: ModelConfig, { vocabularies }: Encoding, attribute: string): boolean {
  return !config.exclude.includes(attribute) && vocabularies.get(attribute)!.size > 1;
}
