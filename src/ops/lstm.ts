import { checkOptions } from "../errors.js";
import { decrementDim } from "../graph/dims.js";
import type { Graph, InputSlot, ShapeOperands, Tensor } from "../graph/graph.js";
import { checkPrecision, type Precision, rounding, sigmoid } from "./numerics.js";
import { type CostCall, checkIds, checkOffsets, type KernelCall, type Op } from "./op.js";

const PEEPHOLES = ["peephole_input", "peephole_forget", "peephole_output"] as const;

const LSTM_INPUTS: Record<string, InputSlot> = {
  input: { dtype: "float32", rank: 2 },
  input_weight: { dtype: "float32", rank: 2 },
  bias: { dtype: "float32", rank: 1, optional: true },
  recurrent_weight: { dtype: "float32", rank: 2 },
  position: { dtype: "int32", rank: 1 },
  sequence_offsets: { dtype: "int32", rank: 1 },
  peephole_input: { dtype: "float32", rank: 1, optional: true },
  peephole_forget: { dtype: "float32", rank: 1, optional: true },
  peephole_output: { dtype: "float32", rank: 1, optional: true },
};

/**
 * An LSTM over sequences of timesteps (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000; peepholes: Gers &
 * Schmidhuber 2000; docs/math.md#lstm). Gates are in the order i, f, g, o. Timestep s reads x = input[position[s]]; h₋
 * and c₋ are the hidden state and the cell of the timestep before:
 *
 *     i = σ(x Wᵢ + h₋ Rᵢ + pᵢ∘c₋ + bᵢ)   f = σ(x W_f + h₋ R_f + p_f∘c₋ + b_f)   g = tanh(x W_g + h₋ R_g + b_g)
 *     c = f∘c₋ + i∘g                     o = σ(x Wₒ + h₋ Rₒ + pₒ∘c + bₒ)        h = o∘tanh(c)
 *
 * Sequence r consists of the timesteps sequence_offsets[r] … sequence_offsets[r + 1] − 1 and starts with h₋ = c₋ = 0;
 * it may be empty. `output` is h, `gates` the activated i, f, g, o, and `cell` c; the gradient reads all three. Either
 * all three peepholes are given or none. With precision "bf16" the operands of the products (x, h₋, W, R) are rounded
 * to bfloat16.
 */
export const lstmOp: Op = {
  name: "lstm",
  inputs: LSTM_INPUTS,
  outputs: ["output", "gates", "cell"],
  attributes: { precision: "float32" },
  shapes: (operands) => {
    const width = checkLstm(operands);
    const timesteps = operands.input("position").shape[0]!;
    return {
      output: { dtype: "float32", shape: [timesteps, width] },
      gates: { dtype: "float32", shape: [timesteps, 4 * width] },
      cell: { dtype: "float32", shape: [timesteps, width] },
    };
  },
  // Back-propagation through time: see lstm_gradient.
  gradient: ({ graph, name, attributes, input, optional, output, outputGradient }) => {
    const operands = {
      output_gradient: outputGradient("output"),
      output: output("output"),
      gates: output("gates"),
      cell: output("cell"),
      input: input("input"),
      input_weight: input("input_weight"),
      bias: optional("bias"),
      recurrent_weight: input("recurrent_weight"),
      position: input("position"),
      sequence_offsets: input("sequence_offsets"),
      peephole_input: optional("peephole_input"),
      peephole_forget: optional("peephole_forget"),
      peephole_output: optional("peephole_output"),
    };
    const precision = { precision: attributes["precision"]! };
    const gradients = graph.apply(lstmGradientOp, `${name}.input_gradient`, operands, precision);
    return {
      input: gradients["input_gradient"],
      input_weight: gradients["input_weight_gradient"],
      bias: gradients["bias_gradient"],
      recurrent_weight: gradients["recurrent_weight_gradient"],
      peephole_input: gradients["peephole_input_gradient"],
      peephole_forget: gradients["peephole_forget_gradient"],
      peephole_output: gradients["peephole_output_gradient"],
    };
  },
  check: checkSequences,
  reference: (call) => {
    const [projection, recurrent] = [project(call), call.input("recurrent_weight").data];
    const [position, sequences] = [call.input("position").data, call.input("sequence_offsets").data];
    const [output, gates, cell] = [call.output("output"), call.output("gates").data, call.output("cell").data];
    const [pi, pf, po] = PEEPHOLES.map((slot) => peephole(call, slot));
    const h = output.columns;
    const round = rounding(call);
    const sum = new Float64Array(4 * h);
    forEachTimestep(sequences, (s, first) => {
      // sum = x·W + b + h₋ R
      for (let n = 0; n < 4 * h; n++) {
        sum[n] = projection[position[s]! * 4 * h + n]!;
        if (first) continue;
        for (let k = 0; k < h; k++) {
          sum[n]! += round(output.data[(s - 1) * h + k]!) * round(recurrent[k * 4 * h + n]!);
        }
      }
      for (let j = 0; j < h; j++) {
        const before = first ? 0 : cell[(s - 1) * h + j]!;
        const i = sigmoid(sum[j]! + pi!(j) * before);
        const f = sigmoid(sum[h + j]! + pf!(j) * before);
        const g = Math.tanh(sum[2 * h + j]!);
        const c = f * before + i * g;
        const o = sigmoid(sum[3 * h + j]! + po!(j) * c);
        const gate = s * 4 * h + j;
        [gates[gate], gates[gate + h], gates[gate + 2 * h], gates[gate + 3 * h]] = [i, f, g, o];
        cell[s * h + j] = c;
        output.data[s * h + j] = o * Math.tanh(c);
      }
    });
  },
  cost: (call) => {
    const { rows: timesteps, columns: h } = call.output("output");
    const { rows: positions, columns: width } = call.input("input");
    return {
      flops: positions * 8 * width * h + recurrentTimesteps(call, timesteps) * 8 * h * h + timesteps * 20 * h,
      bytes: 4 * (positions * width + timesteps * (6 * h + 1) + 4 * h * (width + h)),
    };
  },
};

/**
 * Back-propagation through time, from the last timestep of each sequence to the first. d is the gradient by the values
 * before their activation, and h₋, c₋, d₊ are of the timestep before and after:
 *
 *     dh += d₊ Rᵀ        dₒ = dh∘tanh(c)∘o(1 − o)      dc += dh∘o∘(1 − tanh²c) + dₒ∘pₒ
 *     dᵢ = dc∘g∘i(1 − i)    d_f = dc∘c₋∘f(1 − f)    d_g = dc∘i∘(1 − g²)    dc₋ = dc∘f + dᵢ∘pᵢ + d_f∘p_f
 *     dR = Σ h₋ᵀ d    dpᵢ = Σ dᵢ∘c₋    dp_f = Σ d_f∘c₋    dpₒ = Σ dₒ∘c
 *     with D[p] = Σ d over the timesteps that read position p:    dx = D Wᵀ    dW = Σ xᵀ D    db = Σ D
 *
 * The gradient of a position that no timestep reads is 0. With precision "bf16", x, h₋, W, R, D and, in products, d are
 * rounded to bfloat16.
 */
export const lstmGradientOp: Op = {
  name: "lstm_gradient",
  inputs: {
    output_gradient: { dtype: "float32", rank: 2 },
    output: { dtype: "float32", rank: 2 },
    gates: { dtype: "float32", rank: 2 },
    cell: { dtype: "float32", rank: 2 },
    ...LSTM_INPUTS,
  },
  outputs: [
    "input_gradient",
    "input_weight_gradient",
    "bias_gradient",
    "recurrent_weight_gradient",
    ...PEEPHOLES.map((slot) => `${slot}_gradient`),
  ],
  attributes: { precision: "float32" },
  shapes: (operands) => {
    const width = checkLstm(operands);
    const timesteps = operands.input("position").shape[0]!;
    for (const slot of ["output_gradient", "output", "cell"]) operands.expectShape(slot, [timesteps, width]);
    operands.expectShape("gates", [timesteps, 4 * width]);
    const differentiated = ["input", "input_weight", "bias", "recurrent_weight", ...PEEPHOLES];
    return Object.fromEntries(
      differentiated
        .filter((slot) => operands.has(slot))
        .map((slot) => [`${slot}_gradient`, { dtype: "float32" as const, shape: operands.input(slot).shape }]),
    );
  },
  check: checkSequences,
  reference: (call) => {
    const [output, gates, cell] = [call.input("output"), call.input("gates").data, call.input("cell").data];
    const outputGradient = call.input("output_gradient").data;
    const [input, weight] = [call.input("input"), call.input("input_weight").data];
    const recurrent = call.input("recurrent_weight").data;
    const [position, sequences] = [call.input("position").data, call.input("sequence_offsets").data];
    const [pi, pf, po] = PEEPHOLES.map((slot) => peephole(call, slot));
    const [timesteps, h] = [output.rows, output.columns];
    const round = rounding(call);

    const d = new Float64Array(timesteps * 4 * h);
    const [dh, dc] = [new Float64Array(h), new Float64Array(h)];
    for (let r = sequences.length - 2; r >= 0; r--) {
      dh.fill(0);
      dc.fill(0);
      for (let s = sequences[r + 1]! - 1; s >= sequences[r]!; s--) {
        const first = s === sequences[r];
        for (let j = 0; j < h; j++) {
          const gate = s * 4 * h + j;
          const [i, f, g, o] = [gates[gate]!, gates[gate + h]!, gates[gate + 2 * h]!, gates[gate + 3 * h]!];
          const before = first ? 0 : cell[(s - 1) * h + j]!;
          const tanh = Math.tanh(cell[s * h + j]!);
          dh[j]! += outputGradient[s * h + j]!;
          const dOutput = dh[j]! * tanh * o * (1 - o);
          dc[j]! += dh[j]! * o * (1 - tanh * tanh) + dOutput * po!(j);
          const dInput = dc[j]! * g * i * (1 - i);
          const dForget = dc[j]! * before * f * (1 - f);
          const dCandidate = dc[j]! * i * (1 - g * g);
          [d[gate], d[gate + h], d[gate + 2 * h], d[gate + 3 * h]] = [dInput, dForget, dCandidate, dOutput];
          dc[j] = dc[j]! * f + dInput * pi!(j) + dForget * pf!(j);
        }
        // The next dh starts with d Rᵀ.
        for (let k = 0; k < h; k++) {
          dh[k] = 0;
          for (let n = 0; n < 4 * h; n++) dh[k]! += round(d[s * 4 * h + n]!) * round(recurrent[k * 4 * h + n]!);
        }
      }
    }

    const projectionSum = new Float64Array(input.rows * 4 * h);
    const recurrentSum = new Float64Array(4 * h * h);
    const peepholeSums = PEEPHOLES.map(() => new Float64Array(h));
    forEachTimestep(sequences, (s, first) => {
      for (let n = 0; n < 4 * h; n++) {
        projectionSum[position[s]! * 4 * h + n]! += d[s * 4 * h + n]!;
        if (first) continue;
        for (let k = 0; k < h; k++) {
          recurrentSum[k * 4 * h + n]! += round(output.data[(s - 1) * h + k]!) * round(d[s * 4 * h + n]!);
        }
      }
      for (let j = 0; j < h; j++) {
        const before = first ? 0 : cell[(s - 1) * h + j]!;
        peepholeSums[0]![j]! += d[s * 4 * h + j]! * before;
        peepholeSums[1]![j]! += d[s * 4 * h + h + j]! * before;
        peepholeSums[2]![j]! += d[s * 4 * h + 3 * h + j]! * cell[s * h + j]!;
      }
    });
    const inputSum = new Float64Array(input.data.length);
    const weightSum = new Float64Array(weight.length);
    const biasSum = new Float64Array(4 * h);
    for (let p = 0; p < input.rows; p++) {
      for (let n = 0; n < 4 * h; n++) {
        const d = round(projectionSum[p * 4 * h + n]!);
        biasSum[n]! += d;
        for (let k = 0; k < input.columns; k++) {
          inputSum[p * input.columns + k]! += d * round(weight[k * 4 * h + n]!);
          weightSum[k * 4 * h + n]! += d * round(input.data[p * input.columns + k]!);
        }
      }
    }
    call.output("input_gradient").data.set(inputSum);
    call.output("input_weight_gradient").data.set(weightSum);
    if (call.has("bias")) call.output("bias_gradient").data.set(biasSum);
    call.output("recurrent_weight_gradient").data.set(recurrentSum);
    PEEPHOLES.forEach((slot, i) => {
      if (call.has(slot)) call.output(`${slot}_gradient`).data.set(peepholeSums[i]!);
    });
  },
  cost: (call) => {
    const { rows: timesteps, columns: h } = call.input("output");
    const { rows: positions, columns: width } = call.input("input");
    return {
      flops: positions * 16 * width * h + recurrentTimesteps(call, timesteps) * 16 * h * h + timesteps * 40 * h,
      bytes: 4 * (positions * 2 * width + timesteps * (7 * h + 1) + 8 * h * (width + h)),
    };
  },
};

/** Number of timesteps that need the recurrent product: all but the first of each sequence, whose h₋ is 0. */
function recurrentTimesteps(call: CostCall, timesteps: number): number {
  return Math.max(0, timesteps - (call.input("sequence_offsets").rows - 1));
}

/** Checks the operands that both directions have, and returns the width h of the hidden state. */
function checkLstm(operands: ShapeOperands): number {
  checkPrecision(operands);
  const weight = operands.input("recurrent_weight");
  const width = weight.shape[0];
  if (typeof width !== "number" || weight.shape[1] !== 4 * width) {
    operands.failShape("recurrent_weight", "[h, 4h]", weight);
  }
  operands.expectShape("input_weight", [operands.input("input").shape[1]!, 4 * width]);
  if (operands.has("bias")) operands.expectShape("bias", [4 * width]);
  decrementDim(operands.input("sequence_offsets").shape[0]!);
  const peepholes = PEEPHOLES.filter((slot) => operands.has(slot));
  if (peepholes.length % PEEPHOLES.length !== 0) operands.fail(`Expected all three peepholes or none`);
  for (const slot of peepholes) operands.expectShape(slot, [width]);
  return width;
}

function checkSequences(call: KernelCall): void {
  checkIds(call, "position", call.input("input").rows);
  checkOffsets(call, "sequence_offsets", call.input("position").rows);
}

/** [positions, 4h] The projection x·W + b of each position. */
function project(call: KernelCall): Float64Array {
  const [input, weight] = [call.input("input"), call.input("input_weight")];
  const round = rounding(call);
  const projection = new Float64Array(input.rows * weight.columns);
  for (let p = 0; p < input.rows; p++) {
    for (let n = 0; n < weight.columns; n++) {
      let sum = call.has("bias") ? call.input("bias").data[n]! : 0;
      for (let k = 0; k < input.columns; k++) {
        sum += round(input.data[p * input.columns + k]!) * round(weight.data[k * weight.columns + n]!);
      }
      projection[p * weight.columns + n] = sum;
    }
  }
  return projection;
}

/** Returns a function from index to peephole weight; all 0 without peepholes. */
function peephole(call: KernelCall, slot: string): (j: number) => number {
  if (!call.has(slot)) return () => 0;
  const { data } = call.input(slot);
  return (j) => data[j]!;
}

/** Calls `visit` for every timestep of every sequence, in order. `first` is true for the first one of a sequence. */
function forEachTimestep(sequenceOffsets: ArrayLike<number>, visit: (timestep: number, first: boolean) => void): void {
  for (let r = 0; r + 1 < sequenceOffsets.length; r++) {
    for (let s = sequenceOffsets[r]!; s < sequenceOffsets[r + 1]!; s++) visit(s, s === sequenceOffsets[r]);
  }
}

/** Operands of `lstm`, for a hidden state of width h. */
export interface LstmInputs {
  /** The inputs [positions, in]. */
  readonly input: Tensor;
  /** The input weights [in, 4h], with gates in the order i, f, g, o. */
  readonly inputWeight: Tensor;
  /** The gate biases [4h] (default 0). */
  readonly bias?: Tensor | undefined;
  /** The recurrent weights [h, 4h]. */
  readonly recurrentWeight: Tensor;
  /** The row of the inputs that each timestep reads, int32 [timesteps]. */
  readonly position: Tensor;
  /** Index of the first timestep of each sequence, int32 [sequences + 1]. */
  readonly sequenceOffsets: Tensor;
  /** The peephole weights of the input gate [h]. Give all three peepholes, or none for an LSTM without peepholes. */
  readonly peepholeInput?: Tensor | undefined;
  /** The peephole weights of the forget gate [h]. */
  readonly peepholeForget?: Tensor | undefined;
  /** The peephole weights of the output gate [h]. */
  readonly peepholeOutput?: Tensor | undefined;
}

/** Options of `lstm`. */
export interface LstmOptions {
  /** Precision of the operands of products: "float32" (default) or "bf16". */
  readonly precision?: Precision;
}

/** Returns the hidden state after each timestep, [timesteps, h] (docs/math.md#lstm). */
export function lstm(graph: Graph, name: string, inputs: LstmInputs, options: LstmOptions = {}): Tensor {
  checkOptions("lstm", options, { precision: true } satisfies Record<keyof LstmOptions, true>);
  const { inputWeight, recurrentWeight, sequenceOffsets, peepholeInput, peepholeForget, peepholeOutput, ...rest } =
    inputs;
  const operands = {
    ...rest,
    input_weight: inputWeight,
    recurrent_weight: recurrentWeight,
    sequence_offsets: sequenceOffsets,
    peephole_input: peepholeInput,
    peephole_forget: peepholeForget,
    peephole_output: peepholeOutput,
  };
  return graph.apply(lstmOp, name, operands, { precision: options.precision ?? "float32" })["output"]!;
}
