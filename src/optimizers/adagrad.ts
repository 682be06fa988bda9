import type { Graph, Tensor } from "../graph/graph.js";
import { adagrad, adagradRows, rowwiseAdagradRows } from "../ops/index.js";
import type { Optimizer, OptimizerInputs } from "./optimizer.js";

/** Options of `adagradOptimizer`; see `ModelConfig`. */
export interface AdagradOptions {
  readonly epsilon: number;
  readonly epsilonInside: boolean;
  /** Keeps one accumulator per row of a table instead of one per element. */
  readonly rowwise: boolean;
}

/** Returns the accumulator of a parameter, whose initial value is 0. Later calls return the same tensor. */
export function accumulatorOf(graph: Graph, { name }: Tensor, shape: readonly number[]): Tensor {
  const state = `${name}.accumulator`;
  return graph.tensor(state) ?? graph.optimizerState(state, shape, { kind: "zeros" });
}

/** AdaGrad (Duchi et al. 2011). */
export function adagradOptimizer({ learningRate }: OptimizerInputs, options: AdagradOptions): Optimizer {
  const { epsilon, epsilonInside, rowwise } = options;
  return {
    dense: (graph, parameter, gradient) => {
      const accumulator = accumulatorOf(graph, parameter, parameter.shape as number[]);
      adagrad(
        graph,
        `${parameter.name}.update`,
        { parameter, accumulator, gradient, learningRate },
        { epsilon, epsilonInside },
      );
    },
    rows: (graph, parameter, gradient) => {
      const shape = parameter.shape as number[];
      const accumulator = accumulatorOf(graph, parameter, rowwise ? shape.slice(0, 1) : shape);
      const inputs = { parameter, accumulator, learningRate, ...gradient };
      const name = `${parameter.name}.update`;
      if (rowwise) rowwiseAdagradRows(graph, name, inputs, { epsilon });
      else adagradRows(graph, name, inputs, { epsilon, epsilonInside });
    },
  };
}
