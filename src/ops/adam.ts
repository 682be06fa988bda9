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
 * Adam (Kingma & Ba 2015; docs/math.md#optimizers), in place, t = step + 1 (step counts the steps made before this one):
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

export interface AdamInputs {
  readonly parameter: Tensor;
  /** of the parameter's shape */
  readonly firstMoment: Tensor;
  /** of the parameter's shape */
  readonly secondMoment: Tensor;
  /** of the parameter's shape */
  readonly gradient: Tensor;
  /** [] */
  readonly learningRate: Tensor;
  /** uint32 []: steps made before this one */
  readonly step: Tensor;
}

export interface AdamOptions {
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
}

const stateOf = (inputs: Omit<AdamInputs, "gradient">) => ({
  parameter: inputs.parameter,
  first_moment: inputs.firstMoment,
  second_moment: inputs.secondMoment,
  learning_rate: inputs.learningRate,
  step: inputs.step,
});

const attributesOf = ({ beta1, beta2, epsilon }: AdamOptions) => ({
  beta1: beta1 ?? ATTRIBUTES.beta1,
  beta2: beta2 ?? ATTRIBUTES.beta2,
  epsilon: epsilon ?? ATTRIBUTES.epsilon,
});

/** Updates the parameter and its moments by the gradient, in place. */
export function adam(graph: Graph, name: string, inputs: AdamInputs, options: AdamOptions = {}): void {
  graph.apply(adamOp, name, { ...stateOf(inputs), gradient: inputs.gradient }, attributesOf(options));
}

export type AdamRowsInputs = Omit<AdamInputs, "gradient"> & RowGradientInputs;

/** `adam` by row terms, for the rows that the batch touched. */
export function adamRows(graph: Graph, name: string, inputs: AdamRowsInputs, options: AdamOptions = {}): void {
  const terms = rowTermOperands(inputs);
  const attributes = { ...attributesOf(options), ...terms.attributes };
  graph.apply(adamRowsOp, name, { ...stateOf(inputs), ...terms.inputs }, attributes);
}
