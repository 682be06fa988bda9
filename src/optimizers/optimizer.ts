import type { RowTerm } from "../graph/gradients.js";
import type { Graph, Tensor } from "../graph/graph.js";
import type { SortedRows } from "../ops/index.js";

/** A table's gradient, its ids sorted. */
export interface RowGradient {
  readonly sorted: SortedRows;
  readonly terms: readonly RowTerm[];
}

/** Adds the instructions that update one parameter: the whole of it, or the rows that the batch touched. */
export interface Optimizer {
  dense(graph: Graph, parameter: Tensor, gradient: Tensor): void;
  rows(graph: Graph, parameter: Tensor, gradient: RowGradient): void;
}

/** Scalar inputs that optimizers read. */
export interface OptimizerInputs {
  readonly learningRate: Tensor;
  /** Steps made before this one. */
  readonly step: Tensor;
}
