import { checkOptions } from "../errors.js";
import type { Graph, InputSlot, ShapeOperands, Tensor } from "../graph/graph.js";
import { checkPrecision, checkWhole, logSumExp, type Precision, rounding } from "./numerics.js";
import { checkIds, type KernelCall, type Op, type Value } from "./op.js";

const SOFTMAX_INPUTS: Record<string, InputSlot> = {
  user: { dtype: "float32", rank: 2 },
  weight: { dtype: "float32", rank: 2 },
  bias: { dtype: "float32", rank: 1, optional: true },
  target: { dtype: "int32", rank: 1 },
};

/**
 * Exact cross-entropy over the items from `skip_rows` on (docs/math.md#losses). `skip_rows` = 1 leaves out `<unk>`.
 *
 *     loss[s] = log Σᵢ exp(wᵢ·u + bᵢ) − (w·u + b)_target.
 *
 * `log_partition` is the first term. The work is proportional to samples × items. With `keep_scores`, `scores` [items,
 * samples] has wᵢ·u + bᵢ, with which the gradient does not compute them again; rows before `skip_rows` are 0. With
 * precision "bf16" the operands of this product and of those of its gradient are rounded to bfloat16.
 */
export const softmaxOp: Op = {
  name: "softmax",
  inputs: SOFTMAX_INPUTS,
  outputs: ["loss", "log_partition", "scores"],
  attributes: { skip_rows: 0, keep_scores: false, precision: "float32" },
  shapes: (operands) => {
    checkShapes(operands);
    const [samples, items] = [operands.input("user").shape[0]!, operands.input("weight").shape[0]!];
    const shape = [samples];
    return {
      loss: { dtype: "float32", shape },
      log_partition: { dtype: "float32", shape },
      ...(operands.attribute("keep_scores") && { scores: { dtype: "float32", shape: [items, samples] } }),
    };
  },
  gradient: ({ graph, name, attributes, input, optional, output, outputGradient }) => {
    const { skip_rows, keep_scores, precision } = attributes;
    const gradients = graph.apply(
      softmaxGradientOp,
      `${name}.user_gradient`,
      {
        loss_gradient: outputGradient("loss"),
        log_partition: output("log_partition"),
        user: input("user"),
        weight: input("weight"),
        bias: optional("bias"),
        target: input("target"),
        scores: keep_scores ? output("scores") : undefined,
      },
      { skip_rows: skip_rows!, precision: precision! },
    );
    return {
      user: gradients["user_gradient"],
      weight: gradients["weight_gradient"],
      bias: gradients["bias_gradient"],
    };
  },
  check: checkTargets,
  reference: (call) => {
    const [loss, logPartition] = [call.output("loss"), call.output("log_partition")];
    if (call.has("scores")) keepScores(call, call.output("scores"));
    for (let s = 0; s < loss.rows; s++) {
      const partition = logSumExp(itemsOf(call).map((item) => scoreOf(call, s, item)));
      logPartition.data[s] = partition;
      loss.data[s] = partition - scoreOf(call, s, call.input("target").data[s]!);
    }
  },
  cost: (call) => {
    const [user, weight] = [call.input("user"), call.input("weight")];
    const pairs = user.rows * weight.rows;
    return {
      flops: pairs * (2 * weight.columns + 2),
      bytes:
        4 * (user.rows * (user.columns + 3) + weight.rows * (weight.columns + 1) + (call.has("scores") ? pairs : 0)),
    };
  },
};

/**
 * The gradients of `softmax`. With p = exp(wᵢ·u + bᵢ − log_partition) and e[s, i] = loss_gradient[s] · (p −
 * [i = target]):
 *
 *     user_gradient[s] = Σᵢ e wᵢ,   weight_gradient[i] = Σₛ e uₛ,   bias_gradient[i] = Σₛ e.
 *
 * The gradients of rows before `skip_rows` are 0.
 */
export const softmaxGradientOp: Op = {
  name: "softmax_gradient",
  inputs: {
    loss_gradient: { dtype: "float32", rank: 1 },
    log_partition: { dtype: "float32", rank: 1 },
    ...SOFTMAX_INPUTS,
    scores: { dtype: "float32", rank: 2, optional: true },
  },
  outputs: ["user_gradient", "weight_gradient", "bias_gradient"],
  attributes: { skip_rows: 0, precision: "float32" },
  shapes: (operands) => {
    checkShapes(operands);
    const [user, weight] = [operands.input("user").shape, operands.input("weight").shape];
    operands.expectShape("loss_gradient", [user[0]!]);
    operands.expectShape("log_partition", [user[0]!]);
    if (operands.has("scores")) operands.expectShape("scores", [weight[0]!, user[0]!]);
    return {
      user_gradient: { dtype: "float32", shape: user },
      weight_gradient: { dtype: "float32", shape: weight },
      ...(operands.has("bias") && { bias_gradient: { dtype: "float32", shape: [weight[0]!] } }),
    };
  },
  check: checkTargets,
  reference: (call) => {
    const [user, weight] = [call.input("user"), call.input("weight")];
    const width = user.columns;
    const scores = call.has("scores") ? call.input("scores") : undefined;
    const round = rounding(call);
    const userSum = new Float64Array(user.data.length);
    const weightSum = new Float64Array(weight.data.length);
    const biasSum = new Float64Array(weight.rows);
    for (let s = 0; s < user.rows; s++) {
      const partition = call.input("log_partition").data[s]!;
      const target = call.input("target").data[s];
      for (const item of itemsOf(call)) {
        const score = scores ? scores.data[item * user.rows + s]! : scoreOf(call, s, item);
        const probability = Math.exp(score - partition);
        const e = call.input("loss_gradient").data[s]! * (probability - (item === target ? 1 : 0));
        for (let c = 0; c < width; c++) {
          userSum[s * width + c]! += round(e) * round(weight.data[item * width + c]!);
          weightSum[item * width + c]! += round(e) * round(user.data[s * width + c]!);
        }
        biasSum[item]! += e;
      }
    }
    call.output("user_gradient").data.set(userSum);
    call.output("weight_gradient").data.set(weightSum);
    if (call.has("bias")) call.output("bias_gradient").data.set(biasSum);
  },
  cost: (call) => {
    const [user, weight] = [call.input("user"), call.input("weight")];
    const pairs = user.rows * weight.rows;
    const products = call.has("scores") ? 2 : 3;
    return {
      flops: pairs * (2 * products * weight.columns + 4),
      bytes:
        4 * (2 * user.rows * user.columns + 2 * weight.rows * (weight.columns + 1) + (call.has("scores") ? pairs : 0)),
    };
  },
};

function checkShapes(operands: ShapeOperands): void {
  checkWhole(operands, "skip_rows", 0);
  checkPrecision(operands);
  const [user, weight] = [operands.input("user").shape, operands.input("weight").shape];
  operands.expectShape("weight", [weight[0]!, user[1]!]);
  operands.expectShape("target", [user[0]!]);
  if (operands.has("bias")) operands.expectShape("bias", [weight[0]!]);
}

function checkTargets(call: KernelCall): void {
  checkIds(call, "target", call.input("weight").rows, call.attribute<number>("skip_rows"));
}

/** wᵢ·u + bᵢ for sample s. */
function scoreOf(call: KernelCall, s: number, item: number): number {
  const [user, weight] = [call.input("user"), call.input("weight")];
  const round = rounding(call);
  let sum = call.has("bias") ? call.input("bias").data[item]! : 0;
  for (let c = 0; c < user.columns; c++) {
    sum += round(user.data[s * user.columns + c]!) * round(weight.data[item * user.columns + c]!);
  }
  return sum;
}

/** Writes the scores of all items for all samples. */
function keepScores(call: KernelCall, scores: Value): void {
  scores.data.fill(0);
  for (const item of itemsOf(call)) {
    for (let s = 0; s < scores.columns; s++) scores.data[item * scores.columns + s] = scoreOf(call, s, item);
  }
}

function itemsOf(call: KernelCall): number[] {
  const skipped = call.attribute<number>("skip_rows");
  return Array.from({ length: Math.max(0, call.input("weight").rows - skipped) }, (_, i) => i + skipped);
}

/** Operands of `softmax`. */
export interface SoftmaxInputs {
  /** The user vectors [samples, width]. */
  readonly user: Tensor;
  /** The item vectors [items, width]. */
  readonly weight: Tensor;
  /** The item biases [items] (default 0). */
  readonly bias?: Tensor | undefined;
  /** The target item of each sample, int32 [samples]. */
  readonly target: Tensor;
}

/** Options of `softmax`. */
export interface SoftmaxOptions {
  /** Number of items at the start that are no candidates, such as 1 for `<unk>` (default 0). */
  readonly skipRows?: number;
  /**
   * Whether to keep all scores, samples × items numbers, for the gradient, which then takes two products instead of
   * three (default false). The bits are the same.
   */
  readonly keepScores?: boolean;
  /** To which precision the operands of products are rounded (default "float32"). */
  readonly precision?: Precision;
}

const SOFTMAX_OPTIONS: Readonly<Record<keyof SoftmaxOptions, true>> = {
  skipRows: true,
  keepScores: true,
  precision: true,
};

/**
 * Returns the exact cross-entropy of each sample, [samples], over all items from row `skipRows` on
 * (docs/math.md#losses).
 */
export function softmax(graph: Graph, name: string, inputs: SoftmaxInputs, options: SoftmaxOptions = {}): Tensor {
  checkOptions("softmax", options, SOFTMAX_OPTIONS);
  const { skipRows = 0, keepScores = false, precision = "float32" } = options;
  const attributes = { skip_rows: skipRows, keep_scores: keepScores, precision };
  return graph.apply(softmaxOp, name, { ...inputs }, attributes)["loss"]!;
}
