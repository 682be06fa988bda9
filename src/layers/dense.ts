import type { Graph, Tensor } from "../graph/graph.js";
import { linear, type Precision } from "../ops/index.js";

/** Options of `dense`. `width` is the number of outputs. */
export interface DenseOptions {
  readonly width: number;
  readonly activation: "none" | "relu";
  readonly precision: Precision;
  /** As in `linear`. */
  readonly groupOffsets?: Tensor | undefined;
}

/**
 * A fully connected layer over the concatenation of its inputs. Initial weights are N(0, 1/√fan_in), initial biases 0.
 */
export function dense(graph: Graph, name: string, inputs: readonly Tensor[], options: DenseOptions): Tensor {
  const fanIn = inputs.reduce((sum, { shape }) => sum + (shape[1] as number), 0);
  const weight = graph.parameter(`${name}.weight`, [fanIn, options.width], {
    kind: "normal",
    standardDeviation: 1 / Math.sqrt(fanIn),
  });
  const bias = graph.parameter(`${name}.bias`, [options.width], { kind: "zeros" });
  const { width: _, ...linearOptions } = options;
  return linear(graph, `${name}.output`, inputs, weight, bias, linearOptions);
}
