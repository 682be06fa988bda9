import type { Graph, Tensor } from "../graph/graph.js";
import { adam, adamRows } from "../ops/index.js";
import type { Optimizer, OptimizerInputs } from "./optimizer.js";

/** Options of `adamOptimizer`; see `ModelConfig`. */
export interface AdamOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/** Adam (Kingma & Ba 2015). The moments of table rows without a gradient do not decay ("lazy" Adam). */
export function adamOptimizer({ learningRate, step }: OptimizerInputs, options: AdamOptions): Optimizer {
  const momentsOf = (graph: Graph, { name, shape }: Tensor) => ({
    firstMoment: graph.optimizerState(`${name}.first_moment`, shape as number[], { kind: "zeros" }),
    secondMoment: graph.optimizerState(`${name}.second_moment`, shape as number[], { kind: "zeros" }),
  });
  return {
    dense: (graph, parameter, gradient) => {
      const inputs = { parameter, ...momentsOf(graph, parameter), gradient, learningRate, step };
      adam(graph, `${parameter.name}.update`, inputs, options);
    },
    rows: (graph, parameter, gradient) => {
      const inputs = { parameter, ...momentsOf(graph, parameter), learningRate, step, ...gradient };
      adamRows(graph, `${parameter.name}.update`, inputs, options);
    },
  };
}
