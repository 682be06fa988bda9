import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { type RowGradientInputs, rowTermOperands } from "./row_terms.js";
import { denseOp, rowsOp, type UpdateRule } from "./update_rule.js";

const ATTRIBUTES = { epsilon: 1e-6, epsilon_inside: false };

/**
 * AdaGrad (Duchi et al. 2011; docs/math.md#optimizers), in place:
 *
 *     a += g²,   θ −= η·g / (√a + ε);   with `epsilon_inside` θ −= η·g / √(a + ε), as PaddlePaddle has it.
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

/** `adagrad` of a whole parameter. */
export const adagradOp = denseOp(rule);

/** `adagrad` for the rows of a table that the batch touched. */
export const adagradRowsOp = rowsOp(rule);

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
