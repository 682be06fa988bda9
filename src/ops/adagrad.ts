import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { type RowGradientInputs, rowTermOperands } from "./row_terms.js";
import { denseOp, rowsOp, type UpdateRule } from "./update_rule.js";

const ATTRIBUTES = { epsilon: 1e-6, epsilon_inside: false };

/**
 * AdaGrad (Duchi et al. 2011; docs/math.md#optimizers), in place:
 *
 *     a += g²,   θ −= η·g / (√a + ε);   with `epsilon_inside`, as in PaddlePaddle, θ −= η·g / √(a + ε).
 */
const rule: UpdateRule = {
  name: "adagrad",
  state: ["accumulator"],
  scalars: { learning_rate: { dtype: "float32", rank: 0 } },
  attributes: ATTRIBUTES,
  flops: 6,
  update: (call) => {
    const [parameter, accumulator] = [call.output("parameter").data, call.output("accumulator").data];
    const epsilon = call.attribute<number>("epsilon");
    const isInside = call.attribute<boolean>("epsilon_inside");
    const rate = call.input("learning_rate").data[0]!;
    return (i, gradient) => {
      const a = accumulator[i]! + gradient * gradient;
      accumulator[i] = a;
      parameter[i]! -= (rate * gradient) / (isInside ? Math.sqrt(a + epsilon) : Math.sqrt(a) + epsilon);
    };
  },
};

/** Updates a whole parameter. */
export const adagradOp = denseOp(rule);

/** Updates the rows of a table that have a gradient. */
export const adagradRowsOp = rowsOp(rule);

/** Operands of `adagrad`. */
export interface AdagradInputs {
  /** The parameter, of any shape. */
  readonly parameter: Tensor;
  /** The sum of squared gradients of each element, of the parameter's shape. */
  readonly accumulator: Tensor;
  /** The gradient of the loss by the parameter, of its shape. */
  readonly gradient: Tensor;
  /** The learning rate, a scalar. */
  readonly learningRate: Tensor;
}

/** Options of `adagrad` and `adagradRows`. */
export interface AdagradOptions {
  /** ε, which keeps the divisor away from 0 (default 1e-6). */
  readonly epsilon?: number;
  /** Adds ε inside the square root, as PaddlePaddle does, instead of to the root (default false). */
  readonly epsilonInside?: boolean;
}

const ADAGRAD_OPTIONS: Readonly<Record<keyof AdagradOptions, true>> = { epsilon: true, epsilonInside: true };

function attributesOf(what: string, options: AdagradOptions) {
  checkOptions(what, options, ADAGRAD_OPTIONS);
  const { epsilon = ATTRIBUTES.epsilon, epsilonInside = ATTRIBUTES.epsilon_inside } = options;
  return { epsilon, epsilon_inside: epsilonInside };
}

/**
 * Updates a parameter and its accumulator in place, by a dense gradient (Duchi et al. 2011; docs/math.md#optimizers).
 */
export function adagrad(graph: Graph, name: string, inputs: AdagradInputs, options: AdagradOptions = {}): void {
  const { learningRate, ...operands } = inputs;
  graph.apply(adagradOp, name, { ...operands, learning_rate: learningRate }, attributesOf("adagrad", options));
}

/** Operands of `adagradRows`: row terms instead of a dense gradient. */
export type AdagradRowsInputs = Omit<AdagradInputs, "gradient"> & RowGradientInputs;

/** Updates the rows of a table that have a gradient, and their accumulators, in place, by row terms. */
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
