import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
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

const ATTRIBUTES = { epsilon: 1e-6, epsilon_inside: false };

/**
 * AdaGrad (Duchi et al. 2011; docs/math.md#optimizers), in place:
 *
 *     a += g²,   θ −= η·g / (√a + ε);   with `epsilon_inside` θ −= η·g / √(a + ε), as PaddlePaddle has it.
 */
export const adagradOp: Op = {
  name: "adagrad",
  inputs: {
    parameter: { dtype: "float32" },
    accumulator: { dtype: "float32" },
    gradient: { dtype: "float32" },
    learning_rate: { dtype: "float32", rank: 0 },
  },
  outputs: ["parameter", "accumulator"],
  attributes: ATTRIBUTES,
  shapes: (operands) => {
    const [parameter, accumulator] = [operands.input("parameter"), operands.input("accumulator")];
    operands.expectShape("accumulator", parameter.shape);
    operands.expectShape("gradient", parameter.shape);
    return { parameter: { inPlace: parameter }, accumulator: { inPlace: accumulator } };
  },
  reference: (call) => {
    const gradient = call.input("gradient").data;
    for (let i = 0; i < gradient.length; i++) updateElement(call, i, gradient[i]!);
  },
  cost: (call) => {
    const { rows, columns } = call.input("parameter");
    return { flops: 6 * rows * columns, bytes: 20 * rows * columns };
  },
};

/** `adagrad` for the rows of a table that the batch touched. */
export const adagradRowsOp: Op = {
  name: "adagrad_rows",
  inputs: {
    parameter: { dtype: "float32" },
    accumulator: { dtype: "float32" },
    learning_rate: { dtype: "float32", rank: 0 },
    ...ROW_TERM_INPUTS,
  },
  outputs: ["parameter", "accumulator"],
  attributes: { ...ATTRIBUTES, terms: "" },
  shapes: (operands) => {
    checkRowTermShapes(operands);
    const [parameter, accumulator] = [operands.input("parameter"), operands.input("accumulator")];
    operands.expectShape("accumulator", parameter.shape);
    return { parameter: { inPlace: parameter }, accumulator: { inPlace: accumulator } };
  },
  check: checkRowTerms,
  reference: (call) => {
    const width = call.input("parameter").columns;
    forEachTouchedRow(call, (row, gradient) => {
      for (let c = 0; c < width; c++) updateElement(call, row * width + c, gradient[c]!);
    });
  },
  cost: (call) => rowTermCost(call, 6, 2),
};

function updateElement(call: KernelCall, i: number, gradient: number): void {
  const [parameter, accumulator] = [call.output("parameter").data, call.output("accumulator").data];
  const epsilon = call.attribute<number>("epsilon");
  const rate = call.input("learning_rate").data[0]!;
  const a = accumulator[i]! + gradient * gradient;
  const root = call.attribute<boolean>("epsilon_inside") ? Math.sqrt(a + epsilon) : Math.sqrt(a) + epsilon;
  accumulator[i] = a;
  parameter[i]! -= (rate * gradient) / root;
}

/** What `adagrad` reads and updates. */
export interface AdagradInputs {
  /** The parameter, of any shape. */
  readonly parameter: Tensor;
  /** Sums of the squared gradients, of the parameter's shape. */
  readonly accumulator: Tensor;
  /** The gradient of the loss by the parameter, of its shape. */
  readonly gradient: Tensor;
  /** The learning rate, a scalar. */
  readonly learningRate: Tensor;
}

/** How `adagrad` and `adagradRows` keep the divisor away from 0. */
export interface AdagradOptions {
  /** ε, 1e-6 unless given. */
  readonly epsilon?: number;
  /** Adds ε inside the root, as PaddlePaddle does, instead of to the root (default false). */
  readonly epsilonInside?: boolean;
}

const ADAGRAD_OPTIONS: Readonly<Record<keyof AdagradOptions, true>> = { epsilon: true, epsilonInside: true };

function attributesOf(what: string, options: AdagradOptions) {
  checkOptions(what, options, ADAGRAD_OPTIONS);
  const { epsilon = ATTRIBUTES.epsilon, epsilonInside = ATTRIBUTES.epsilon_inside } = options;
  return { epsilon, epsilon_inside: epsilonInside };
}

/** Updates the parameter and its accumulator by the gradient, in place. */
export function adagrad(graph: Graph, name: string, inputs: AdagradInputs, options: AdagradOptions = {}): void {
  const { learningRate, ...operands } = inputs;
  graph.apply(adagradOp, name, { ...operands, learning_rate: learningRate }, attributesOf("adagrad", options));
}

/** What `adagradRows` reads and updates: row terms in place of the dense gradient. */
export type AdagradRowsInputs = Omit<AdagradInputs, "gradient"> & RowGradientInputs;

/** `adagrad` by row terms, for the rows that the batch touched. */
export function adagradRows(graph: Graph, name: string, inputs: AdagradRowsInputs, options: AdagradOptions = {}): void {
  const { learningRate, sorted, terms, ...operands } = inputs;
  const rows = rowTermOperands({ sorted, terms });
  graph.apply(
    adagradRowsOp,
    name,
    { ...operands, learning_rate: learningRate, ...rows.inputs },
    { ...attributesOf("adagradRows", options), ...rows.attributes },
  );
}
