import { type Gradient, type GradientSums, gradients } from "../graph/gradients.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { addOp } from "./add.js";
import { fill } from "./fill.js";
import { scatterAdd } from "./scatter_add.js";
import { sortRows } from "./sort_rows.js";

/** Adds gradients for `gradients`, which does not know any op. */
export const GRADIENT_SUMS: GradientSums = {
  add: addOp,
  scatterAdd: (graph, name, table, terms, base) => {
    const ids = terms.map(({ ids }) => ids);
    return scatterAdd(graph, name, { table, base, terms, sorted: sortRows(graph, `${name}.order`, ids) });
  },
};

/**
 * Returns the gradient of a scalar loss by each of `parameters`. Parameters that the loss does not depend on are not in
 * the result.
 */
export function lossGradients(graph: Graph, loss: Tensor, parameters: readonly Tensor[]): Map<Tensor, Gradient> {
  return gradients(graph, new Map([[loss, fill(graph, `${loss.name}.gradient`, 1)]]), parameters, GRADIENT_SUMS);
}
