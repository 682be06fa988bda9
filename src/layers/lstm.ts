import type { Graph, Tensor } from "../graph/graph.js";
import { lstm, type Precision } from "../ops/index.js";

/** Inputs of `lstmLayer`. */
export interface LstmLayerInputs {
  /** [rows, in] The inputs, one row per position or per distinct item. */
  readonly input: Tensor;
  /** [timesteps] The row that each timestep reads. */
  readonly position: Tensor;
  /** [sequences + 1] Index of the first timestep of each sequence. */
  readonly sequenceOffsets: Tensor;
}

/** Options of `lstmLayer`. `width` is that of the hidden state, `forgetBias` the initial bias of the forget gate. */
export interface LstmLayerOptions {
  readonly width: number;
  readonly peepholes: boolean;
  readonly forgetBias: number;
  readonly precision: Precision;
}

/**
 * An LSTM layer. Returns its hidden states [timesteps, width]. Initial weights are N(0, 1/√width); biases and peepholes
 * are 0, except for the forget gate's bias.
 */
export function lstmLayer(graph: Graph, name: string, inputs: LstmLayerInputs, options: LstmLayerOptions): Tensor {
  const { width } = options;
  const gates = 4 * width;
  const normal = { kind: "normal", standardDeviation: 1 / Math.sqrt(width) } as const;
  const inputWeight = graph.parameter(`${name}.input_weight`, [inputs.input.shape[1] as number, gates], normal);
  const recurrentWeight = graph.parameter(`${name}.recurrent_weight`, [width, gates], normal);
  const initialBias = new Float32Array(gates).fill(options.forgetBias, width, 2 * width);
  const bias = graph.parameter(`${name}.bias`, [gates], { kind: "values", values: initialBias });
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
