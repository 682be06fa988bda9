import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { type RowGradientInputs, rowTermOperands } from "./row_terms.js";
import { denseOp, rowsOp, type UpdateRule } from "./update_rule.js";

const ATTRIBUTES = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/**
 * Adam (Kingma & Ba 2015; docs/math.md#optimizers), in place. t = step + 1, where `step` is the number of steps before
 * this one:
 *
 *     m = β₁ m + (1 − β₁) g,   v = β₂ v + (1 − β₂) g²,   θ −= η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε).
 */
const rule: UpdateRule = {
  name: "adam",
  state: ["first_moment", "second_moment"],
  scalars: { learning_rate: { dtype: "float32", rank: 0 }, step: { dtype: "uint32", rank: 0 } },
  attributes: ATTRIBUTES,
  flops: 12,
  update: (call) => {
    const parameter = call.output("parameter").data;
    const [first, second] = [call.output("first_moment").data, call.output("second_moment").data];
    const [beta1, beta2] = [call.attribute<number>("beta1"), call.attribute<number>("beta2")];
    const epsilon = call.attribute<number>("epsilon");
    const rate = call.input("learning_rate").data[0]!;
    const t = call.input("step").data[0]! + 1;
    return (i, gradient) => {
      const m = beta1 * first[i]! + (1 - beta1) * gradient;
      const v = beta2 * second[i]! + (1 - beta2) * gradient * gradient;
      const root = Math.sqrt(v / (1 - beta2 ** t)) + epsilon;
      parameter[i]! -= (rate * m) / (1 - beta1 ** t) / root;
      [first[i], second[i]] = [m, v];
    };
  },
};

/** Updates a whole parameter. */
export const adamOp = denseOp(rule);

/**
 * Updates the rows of a table that have a gradient. The moments of other rows do not decay ("lazy" Adam), but the bias
 * correction counts all steps.
 */
export const adamRowsOp = rowsOp(rule);

/** Operands of `adam`. */
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
  /** The number of steps before this one, a uint32 scalar. */
  readonly step: Tensor;
}

/** Options of `adam` and `adamRows`. */
export interface AdamOptions {
  /** Decay rate of the first moment (default 0.9). */
  readonly beta1?: number;
  /** Decay rate of the second moment (default 0.999). */
  readonly beta2?: number;
  /** ε, which keeps the divisor away from 0 (default 1e-8). */
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

/** Updates a parameter and its moments in place, by a dense gradient (Kingma & Ba 2015; docs/math.md#optimizers). */
export function adam(graph: Graph, name: string, inputs: AdamInputs, options: AdamOptions = {}): void {
  graph.apply(adamOp, name, stateOf(inputs), attributesOf("adam", options));
}

/** Operands of `adamRows`: row terms instead of a dense gradient. */
export type AdamRowsInputs = Omit<AdamInputs, "gradient"> & RowGradientInputs;

/**
 * Updates the rows of a table that have a gradient, and their moments, in place, by row terms. Other rows and their
 * moments do not change ("lazy" Adam).
 */
export function adamRows(graph: Graph, name: string, inputs: AdamRowsInputs, options: AdamOptions = {}): void {
  const { sorted, terms, ...state } = inputs;
  const rows = rowTermOperands({ sorted, terms });
  const attributes = { ...attributesOf("adamRows", options), ...rows.attributes };
  graph.apply(adamRowsOp, name, { ...stateOf(state), ...rows.inputs }, attributes);
}
