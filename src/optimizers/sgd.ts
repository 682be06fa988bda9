import { sgd, sgdRows } from "../ops/index.js";
import type { Optimizer, OptimizerInputs } from "./optimizer.js";

/** Gradient descent without momentum. */
export function sgdOptimizer({ learningRate }: OptimizerInputs): Optimizer {
  return {
    dense: (graph, parameter, gradient) =>
      sgd(graph, `${parameter.name}.update`, { parameter, gradient, learningRate }),
    rows: (graph, parameter, gradient) =>
      sgdRows(graph, `${parameter.name}.update`, { parameter, learningRate, ...gradient }),
  };
}
