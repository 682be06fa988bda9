import type { Graph, Tensor } from "../graph/graph.js";
import { dropIds, dropout } from "../ops/index.js";
import type { ModelConfig } from "./config.js";

/** The dropouts that training applies. In inference every method returns its argument. */
export interface Dropouts {
  embedding(input: Tensor): Tensor;
  /** Drops elements of the inputs of a layer. Dense features, which are inputs of the Program, stay as they are. */
  layer(inputs: readonly Tensor[]): readonly Tensor[];
  /** Replaces ids of a user feature by `<unk>`. */
  ids(feature: string, ids: Tensor, limit: number): Tensor;
}

/** The dropouts of inference: none. */
export const NO_DROPOUTS: Dropouts = { embedding: (x) => x, layer: (x) => x, ids: (_, x) => x };

/** The dropouts of a configuration. Each has random numbers of its own. */
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
