import { checkOptions } from "../errors.js";
import type { Graph, InputSlot, OutputShape, ShapeOperands, Tensor } from "../graph/graph.js";
import type { KernelCall, Op } from "./op.js";
import {
  checkRowTermShapes,
  checkRowTerms,
  forEachTouchedRow,
  ROW_TERM_INPUTS,
  type RowGradientInputs,
  rowTermCost,
  rowTermOperands,
} from "./row_terms.js";

const ATTRIBUTES = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

const STATE_INPUTS: Record<string, InputSlot> = {
  parameter: { dtype: "float32" },
  first_moment: { dtype: "float32" },
  second_moment: { dtype: "float32" },
  learning_rate: { dtype: "float32", rank: 0 },
  step: { dtype: "uint32", rank: 0 },
};

/**
 * Adam (Kingma & Ba 2015; docs/math.md#optimizers), in place, t = step + 1 (step counts the steps made before this
 * one):
 *
 *     m = β₁ m + (1 − β₁) g,   v = β₂ v + (1 − β₂) g²,   θ −= η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε).
 */
export const adamOp: Op = {
  name: "adam",
  inputs: { ...STATE_INPUTS, gradient: { dtype: "float32" } },
  outputs: ["parameter", "first_moment", "second_moment"],
  attributes: ATTRIBUTES,
  shapes: (operands) => {
    operands.expectShape("gradient", operands.input("parameter").shape);
    return stateShapes(operands);
  },
  reference: (call) => {
    const gradient = call.input("gradient").data;
    for (let i = 0; i < gradient.length; i++) updateElement(call, i, gradient[i]!);
  },
  cost: (call) => {
    const { rows, columns } = call.input("parameter");
    return { flops: 12 * rows * columns, bytes: 28 * rows * columns };
  },
};

/**
 * `adam` for the rows of a table that the batch touched: other rows keep their moments as they are ("lazy"), while the
 * bias correction counts all steps.
 */
export const adamRowsOp: Op = {
  name: "adam_rows",
  inputs: { ...STATE_INPUTS, ...ROW_TERM_INPUTS },
  outputs: ["parameter", "first_moment", "second_moment"],
  attributes: { ...ATTRIBUTES, terms: "" },
  shapes: (operands) => {
    checkRowTermShapes(operands);
    return stateShapes(operands);
  },
  check: checkRowTerms,
  reference: (call) => {
    const width = call.input("parameter").columns;
    forEachTouchedRow(call, (row, gradient) => {
      for (let c = 0; c < width; c++) updateElement(call, row * width + c, gradient[c]!);
    });
  },
  cost: (call) => rowTermCost(call, 12, 3),
};

function stateShapes(operands: ShapeOperands): Record<string, OutputShape> {
  const { shape } = operands.input("parameter");
  const slots = ["parameter", "first_moment", "second_moment"];
  for (const slot of slots) operands.expectShape(slot, shape);
  return Object.fromEntries(slots.map((slot) => [slot, { inPlace: operands.input(slot) }]));
}

function updateElement(call: KernelCall, i: number, gradient: number): void {
  const [parameter, first, second] = ["parameter", "first_moment", "second_moment"].map(
    (slot) => call.output(slot).data,
  );
  const [beta1, beta2] = [call.attribute<number>("beta1"), call.attribute<number>("beta2")];
  const t = call.input("step").data[0]! + 1;
  const m = beta1 * first![i]! + (1 - beta1) * gradient;
  const v = beta2 * second![i]! + (1 - beta2) * gradient * gradient;
  const root = Math.sqrt(v / (1 - beta2 ** t)) + call.attribute<number>("epsilon");
  parameter![i]! -= (call.input("learning_rate").data[0]! * m) / (1 - beta1 ** t) / root;
  [first![i], second![i]] = [m, v];
}

/** What `adam` reads and updates. */
export interface AdamInputs {
  /** The parameter, of any shape. */
  readonly parameter: Tensor;
  /** The decaying mean of the gradients, of the parameter's shape. */
  readonly firstMoment: Tensor;
  /** The decaying mean of the squared gradients, of the parameter's shape. */
  readonly secondMoment: Tensor;
  /** The gradient of the loss by the parameter, of its shape. */
  readonly gradient: Tensor;
  /** The learning rate, a scalar. */
  readonly learningRate: Tensor;
  /** The number of steps made before this one, a uint32 scalar. */
  readonly step: Tensor;
}

/** The constants of `adam` and `adamRows`. */
export interface AdamOptions {
  /** The decay of the first moment, 0.9 unless given. */
  readonly beta1?: number;
  /** The decay of the second moment, 0.999 unless given. */
  readonly beta2?: number;
  /** ε, 1e-8 unless given. */
  readonly epsilon?: number;
}

const ADAM_OPTIONS: Readonly<Record<keyof AdamOptions, true>> = { beta1: true, beta2: true, epsilon: true };

function stateOf<T extends Omit<AdamInputs, "gradient">>(inputs: T) {
  const { firstMoment, secondMoment, learningRate, ...rest } = inputs;
  return { ...rest, first_moment: firstMoment, second_moment: secondMoment, learning_rate: learningRate };
}

function attributesOf(what: string, options: AdamOptions) {
  checkOptions(what, options, ADAM_OPTIONS);
  const { beta1 = ATTRIBUTES.beta1, beta2 = ATTRIBUTES.beta2, epsilon = ATTRIBUTES.epsilon } = options;
  return { beta1, beta2, epsilon };
}

/** Updates the parameter and its moments by the gradient, in place (Kingma & Ba 2015; docs/math.md#optimizers). */
export function adam(graph: Graph, name: string, inputs: AdamInputs, options: AdamOptions = {}): void {
  graph.apply(adamOp, name, stateOf(inputs), attributesOf("adam", options));
}

/** What `adamRows` reads and updates: row terms in place of the dense gradient. */
export type AdamRowsInputs = Omit<AdamInputs, "gradient"> & RowGradientInputs;

/** `adam` by row terms, for the rows that the batch touched; the other rows keep their moments as they are. */
export function adamRows(graph: Graph, name: string, inputs: AdamRowsInputs, options: AdamOptions = {}): void {
  const { sorted, terms, ...state } = inputs;
  const rows = rowTermOperands({ sorted, terms });
  const attributes = { ...attributesOf("adamRows", options), ...rows.attributes };
  graph.apply(adamRowsOp, name, { ...stateOf(state), ...rows.inputs }, attributes);
}
