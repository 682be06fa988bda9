import { type Gradient, gradients } from "../graph/gradients.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { addOp } from "./add.js";
import { fill } from "./fill.js";

/** The gradients of a scalar loss by each of `parameters`; one that the loss does not depend on has no entry. */
export function lossGradients(graph: Graph, loss: Tensor, parameters: readonly Tensor[]): Map<Tensor, Gradient> {
  return gradients(graph, new Map([[loss, fill(graph, `${loss.name}.gradient`, 1)]]), parameters, addOp);
}
