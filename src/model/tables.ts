import type { Encoding } from "../data/clicks.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { embeddingTable } from "../layers/embedding.js";
import type { ModelConfig } from "./config.js";

/** The embeddings of a feature: [values, width]. */
export function table(graph: Graph, config: ModelConfig, encoding: Encoding, feature: string): Tensor {
  const { size } = encoding.vocabularies.get(feature)!;
  return embeddingTable(graph, feature, size, widthOf(config, encoding, feature), config.embeddingDeviation);
}

/**
 * The embeddings of an item attribute that are added to those of items, [values, width]: for "history" to what it
 * reads, for "output" to item vectors of their own. The same table each time it is asked for.
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

/** How wide a feature's embeddings are: those of tied items are as wide as the user vector. */
function widthOf(config: ModelConfig, { schema }: Encoding, feature: string): number {
  if (config.tiedItems && feature === schema.click[0]!.name) return config.userVectorWidth;
  const { embeddingWidths, defaultEmbeddingWidth } = config;
  // A feature may be called "constructor", which every object seems to have.
  return Object.hasOwn(embeddingWidths, feature) ? embeddingWidths[feature]! : defaultEmbeddingWidth;
}

/** Whether an attribute is read, and has another value than `<unk>`. */
export function teaches(config: ModelConfig, { vocabularies }: Encoding, attribute: string): boolean {
  return !config.exclude.includes(attribute) && vocabularies.get(attribute)!.size > 1;
}
