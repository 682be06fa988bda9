import type { Graph, Tensor } from "../graph/graph.js";
import { lstm, type Precision } from "../ops/index.js";

export interface LstmLayerInputs {
  /** [rows, in]: of positions, or of what several of them have in common */
  readonly input: Tensor;
  /** [steps] the row that each step reads */
  readonly position: Tensor;
  /** [runs + 1] where each run's steps begin */
  readonly runOffsets: Tensor;
}

export interface LstmLayerOptions {
  readonly width: number;
  readonly peepholes: boolean;
  readonly forgetBias: number;
  readonly precision: Precision;
}

/**
 * An LSTM over runs: [steps, width] hidden states. Weights N(0, 1/√width), biases and peepholes 0 at the start but for
 * the forget gate's bias.
 */
export function lstmLayer(graph: Graph, name: string, inputs: LstmLayerInputs, options: LstmLayerOptions): Tensor {
  const { width } = options;
  const gates = 4 * width;
  const normal = { kind: "normal", standardDeviation: 1 / Math.sqrt(width) } as const;
  const inputWeight = graph.parameter(`${name}.input_weight`, [inputs.input.shape[1] as number, gates], normal);
  const recurrentWeight = graph.parameter(`${name}.recurrent_weight`, [width, gates], normal);
  const startBias = new Float32Array(gates).fill(options.forgetBias, width, 2 * width);
  const bias = graph.parameter(`${name}.bias`, [gates], { kind: "values", values: startBias });
  const peephole = (gate: string) => graph.parameter(`${name}.peephole_${gate}`, [width], { kind: "zeros" });
  const operands = {
    ...inputs,
    inputWeight,
    bias,
    recurrentWeight,
    ...(options.peepholes && {
      peepholeInput: peephole("input"),
      peepholeForget: peephole("forget"),
      peepholeOutput: peephole("output"),
    }),
  };
  return lstm(graph, `${name}.hidden`, operands, { precision: options.precision });
}
