import type { Graph, Tensor } from "../graph/graph.js";

/** A trainable table [rows, width], N(0, deviation) at the start. */
export function embeddingTable(graph: Graph, feature: string, rows: number, width: number, deviation: number): Tensor {
  return graph.parameter(`embedding.${feature}`, [rows, width], { kind: "normal", standardDeviation: deviation });
}
