import type { Gradient, RowTerm } from "../graph/gradients.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { type SortedRows, sortRows } from "../ops/index.js";
import { adagradOptimizer } from "./adagrad.js";
import { adamOptimizer } from "./adam.js";
import type { Optimizer, OptimizerInputs } from "./optimizer.js";
import { sgdOptimizer } from "./sgd.js";

/** The configuration keys that define the optimizer; see `ModelConfig`. */
export interface OptimizerConfig {
  readonly optimizer: "adagrad" | "rowwise_adagrad" | "adam" | "sgd";
  readonly epsilon: number;
  readonly epsilonInside: boolean;
  readonly beta1: number;
  readonly beta2: number;
}

/** Sorts lists of ids. Tables with the same ids use one sort. */
export class RowSorter {
  readonly #graph: Graph;
  readonly #sorted = new Map<string, SortedRows>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  sort(ids: readonly Tensor[]): SortedRows {
    const key = ids.map(({ name }) => name).join("+");
    const sorted = this.#sorted.get(key) ?? sortRows(this.#graph, `${key}.order`, ids);
    this.#sorted.set(key, sorted);
    return sorted;
  }
}

/** Adds the instructions that update every parameter by its gradient. */
export function applyGradients(
  graph: Graph,
  config: OptimizerConfig,
  found: ReadonlyMap<Tensor, Gradient>,
  inputs: OptimizerInputs,
  sorter = new RowSorter(graph),
): void {
  const optimizer = createOptimizer(config, inputs);
  const sort = (terms: readonly RowTerm[]) => sorter.sort(terms.map(({ ids }) => ids));
  for (const [parameter, gradient] of found) {
    if (gradient.kind === "dense") optimizer.dense(graph, parameter, gradient.tensor);
    else optimizer.rows(graph, parameter, { sorted: sort(gradient.terms), terms: gradient.terms });
  }
}

function createOptimizer(config: OptimizerConfig, inputs: OptimizerInputs): Optimizer {
  const { epsilon, epsilonInside, beta1, beta2 } = config;
  switch (config.optimizer) {
    case "sgd":
      return sgdOptimizer(inputs);
    case "adam":
      return adamOptimizer(inputs, { beta1, beta2, epsilon });
    case "adagrad":
      return adagradOptimizer(inputs, { epsilon, epsilonInside, rowwise: false });
    case "rowwise_adagrad":
      return adagradOptimizer(inputs, { epsilon, epsilonInside, rowwise: true });
  }
}
