import type { RowTerm } from "../graph/gradients.js";
import type { Graph, Tensor } from "../graph/graph.js";
import type { SortedRows } from "../ops/index.js";

/** The gradient of a table as row terms, with the result of sorting their ids. */
export interface RowGradient {
  readonly sorted: SortedRows;
  readonly terms: readonly RowTerm[];
}

/** Adds the instructions that update one parameter: all of it, or the rows that have a gradient. */
export interface Optimizer {
  dense(graph: Graph, parameter: Tensor, gradient: Tensor): void;
  rows(graph: Graph, parameter: Tensor, gradient: RowGradient): void;
}

/** Scalar inputs that optimizers read. */
export interface OptimizerInputs {
  readonly learningRate: Tensor;
  /** The number of steps before this one. */
  readonly step: Tensor;
}
