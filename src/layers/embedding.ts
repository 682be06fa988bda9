import type { Graph, Tensor } from "../graph/graph.js";

/** An embedding table [rows, width] with initial values N(0, deviation). */
export function embeddingTable(graph: Graph, feature: string, rows: number, width: number, deviation: number): Tensor {
  return graph.parameter(`embedding.${feature}`, [rows, width], { kind: "normal", standardDeviation: deviation });
}
