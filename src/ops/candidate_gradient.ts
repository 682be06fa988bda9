import { addDims, type Dim } from "../graph/dims.js";
import type { GradientRule } from "../graph/gradients.js";
import type { Graph, GraphOp, OutputShape, ShapeOperands, Tensor } from "../graph/graph.js";
import { checkPrecision, type Precision, rounding } from "./numerics.js";
import { type Cost, type CostCall, checkIds, type KernelCall, type Op } from "./op.js";

/*
 * The losses over a few candidates per sample: `nce`, `paddle_nce` and `sampled_softmax`. All three score the target
 * and the draws of a sample by w·u + b and differ only in the loss of these scores. Each saves the gradient of its loss
 * by the scores, `logit_gradient` [samples, 1 + draws], from which one op computes the gradients by user, weight and
 * bias.
 */

/** The candidates of one sample. Candidate 0 is the target. */
export interface SampleCandidates {
  readonly items: readonly number[];
  /** The score w·u + b of each candidate. */
  readonly scores: readonly number[];
  /** log(k·q) for each candidate: the logarithm of its expected number among the k draws. */
  readonly logExpected: readonly number[];
}

/** The loss of one sample, and its derivative by the score of each candidate. */
export interface SampleLoss {
  readonly loss: number;
  readonly gradient: readonly number[];
}

/** Creates the op of a loss that applies `lossOf` to the candidates of each sample. */
export function candidateLossOp(name: string, lossOf: (candidates: SampleCandidates) => SampleLoss): Op {
  return {
    name,
    inputs: {
      user: { dtype: "float32", rank: 2 },
      weight: { dtype: "float32", rank: 2 },
      bias: { dtype: "float32", rank: 1, optional: true },
      target: { dtype: "int32", rank: 1 },
      negatives: { dtype: "int32" },
      log_noise: { dtype: "float32", rank: 1 },
    },
    outputs: ["loss", "logit_gradient"],
    attributes: { precision: "float32" },
    shapes: lossShapes,
    gradient: lossGradientRule,
    check: checkCandidateIds,
    reference: (call) => {
      const [losses, gradients] = [call.output("loss"), call.output("logit_gradient")];
      for (let s = 0; s < losses.rows; s++) {
        const items = candidatesOf(call, s);
        const { loss, gradient } = lossOf({
          items,
          scores: items.map((item, j) => logit(call, s, item, j === 0 ? exactly : roundingOfDraws(call))),
          logExpected: items.map((item) => logExpectedOf(call, item)),
        });
        losses.data[s] = loss;
        gradients.data.set(gradient, s * gradients.columns);
      }
    },
    cost: lossCost,
  };
}

function lossShapes(operands: ShapeOperands): Record<string, OutputShape> {
  const [items] = operands.input("weight").shape;
  const draws = checkCandidates(operands);
  if (operands.has("bias")) operands.expectShape("bias", [items!]);
  operands.expectShape("log_noise", [items!]);
  const samples = operands.input("user").shape[0]!;
  return {
    loss: { dtype: "float32", shape: [samples] },
    logit_gradient: { dtype: "float32", shape: [samples, addDims(draws, 1)] },
  };
}

/** Checks the precision and the shapes of user, weight, target and negatives, and returns the number of draws. */
function checkCandidates(operands: ShapeOperands): Dim {
  checkPrecision(operands);
  const [samples, width] = operands.input("user").shape;
  const negatives = operands.input("negatives");
  operands.expectShape("weight", [operands.input("weight").shape[0]!, width!]);
  operands.expectShape("target", [samples!]);
  const draws = negatives.shape.at(-1);
  if (draws === undefined) return operands.failShape("negatives", "[samples, draws] or [draws]", negatives);
  if (negatives.shape.length === 2) operands.expectShape("negatives", [samples!, draws]);
  return draws;
}

/** The gradient by the weight and the bias consists of row terms, for the rows of the target and of the draws. */
const lossGradientRule: GradientRule = ({ graph, name, attributes, input, optional, output, ...rest }) => {
  const { outputGradient, needed } = rest;
  const [user, target, negatives] = [input("user"), input("target"), input("negatives")];
  const gradients = graph.apply(
    candidateGradientOp,
    `${name}.user_gradient`,
    {
      loss_gradient: outputGradient("loss"),
      logit_gradient: output("logit_gradient"),
      user,
      weight: input("weight"),
      target,
      negatives,
    },
    { precision: attributes["precision"]! },
  );
  const targetScale = gradients["target_scale"]!;
  const shared = negatives.shape.length === 1;
  const weightOfNegatives = shared
    ? { ids: negatives, rows: gradients["negative_rows"]! }
    : { ids: negatives, rows: user, scale: gradients["negative_scale"]! };
  const biasOfNegatives = shared ? gradients["negative_bias"]! : gradients["negative_scale"]!;
  return {
    user: gradients["user_gradient"],
    weight: needed("weight")
      ? { rows: [{ ids: target, rows: user, scale: targetScale }, weightOfNegatives] }
      : undefined,
    bias:
      optional("bias") && needed("bias")
        ? {
            rows: [
              { ids: target, rows: targetScale },
              { ids: negatives, rows: biasOfNegatives },
            ],
          }
        : undefined,
  };
};

function checkCandidateIds(call: KernelCall): void {
  checkIds(call, "target", call.input("weight").rows);
  checkIds(call, "negatives", call.input("weight").rows);
}

/** The item ids of the candidates of sample s: its target, then its draws. */
function candidatesOf(call: KernelCall, s: number): number[] {
  const { data, shape } = call.input("negatives");
  const draws = shape.at(-1)!;
  const first = shape.length === 1 ? 0 : s * draws;
  return [call.input("target").data[s]!, ...data.subarray(first, first + draws)];
}

/** Returns w·u + b for sample s and an item. Without a bias operand, b is 0. */
export function logit(call: KernelCall, s: number, item: number, round = exactly): number {
  const [user, weight] = [call.input("user"), call.input("weight")];
  const width = user.columns;
  let sum = call.has("bias") ? call.input("bias").data[item]! : 0;
  for (let c = 0; c < width; c++) sum += round(user.data[s * width + c]!) * round(weight.data[item * width + c]!);
  return sum;
}

function exactly(x: number): number {
  return x;
}

/** How the operands of the products with draws are rounded: not at all unless the draws are shared. */
function roundingOfDraws(call: KernelCall): (x: number) => number {
  return call.input("negatives").shape.length === 1 ? rounding(call) : exactly;
}

/** Returns log(k · q(item)). */
function logExpectedOf(call: KernelCall, item: number): number {
  return Math.log(call.input("negatives").shape.at(-1)!) + call.input("log_noise").data[item]!;
}

function lossCost(call: CostCall): Cost {
  const [user, gradient] = [call.input("user"), call.output("logit_gradient")];
  const pairs = gradient.rows * gradient.columns;
  return {
    flops: pairs * (2 * user.columns + 10),
    bytes: 4 * ((candidateRows(call) + user.rows) * user.columns + 4 * pairs + user.rows),
  };
}

/** Number of weight rows that are read: one for each target and draw. */
function candidateRows(call: CostCall): number {
  const [target, negatives] = [call.input("target"), call.input("negatives")];
  return target.rows + negatives.rows * negatives.columns;
}

/**
 * The gradients of the losses over draws. e[s, j] = loss_gradient[s] · logit_gradient[s, j] is the gradient by the
 * score of candidate j of sample s:
 *
 *     user_gradient[s] = Σⱼ e[s, j] · weight[idⱼ],   target_scale[s] = e[s, 0],   negative_scale[s, d] = e[s, 1 + d].
 *
 * Row target[s] of the weight's gradient gains target_scale[s] · user[s], and row negatives[s, d] gains
 * negative_scale[s, d] · user[s]. The gradient of the bias gains the scales. Draws that all samples share are first
 * summed over the samples, in their order: negative_rows[d] = Σₛ e[s, 1 + d] · user[s] and negative_bias[d] = Σₛ
 * e[s, 1 + d]. With precision "bf16" the operands of products with shared draws are rounded to bfloat16: the rows of
 * draws, logit_gradient, and loss_gradient[s] · user[s].
 */
export const candidateGradientOp: Op = {
  name: "candidate_gradient",
  inputs: {
    loss_gradient: { dtype: "float32", rank: 1 },
    logit_gradient: { dtype: "float32", rank: 2 },
    user: { dtype: "float32", rank: 2 },
    weight: { dtype: "float32", rank: 2 },
    target: { dtype: "int32", rank: 1 },
    negatives: { dtype: "int32" },
  },
  outputs: ["user_gradient", "target_scale", "negative_scale", "negative_rows", "negative_bias"],
  attributes: { precision: "float32" },
  shapes: (operands) => {
    const [samples, width] = operands.input("user").shape;
    const draws = checkCandidates(operands);
    operands.expectShape("loss_gradient", [samples!]);
    operands.expectShape("logit_gradient", [samples!, addDims(draws, 1)]);
    const float32 = (...shape: Dim[]): OutputShape => ({ dtype: "float32", shape });
    const both = { user_gradient: float32(samples!, width!), target_scale: float32(samples!) };
    return operands.input("negatives").shape.length === 1
      ? { ...both, negative_rows: float32(draws, width!), negative_bias: float32(draws) }
      : { ...both, negative_scale: float32(samples!, draws) };
  },
  check: checkCandidateIds,
  reference: (call) => {
    const [user, weight] = [call.input("user"), call.input("weight")];
    const [lossGradient, logitGradient] = [call.input("loss_gradient"), call.input("logit_gradient")];
    const width = user.columns;
    const draws = logitGradient.columns - 1;
    const byLogit = (s: number, j: number) => logitGradient.data[s * (draws + 1) + j]!;
    const score = (s: number, j: number) => lossGradient.data[s]! * byLogit(s, j);
    const round = roundingOfDraws(call);

    for (let s = 0; s < user.rows; s++) {
      const ids = candidatesOf(call, s);
      for (let c = 0; c < width; c++) {
        let sum = byLogit(s, 0) * weight.data[ids[0]! * width + c]!;
        for (let j = 1; j < ids.length; j++) sum += round(byLogit(s, j)) * round(weight.data[ids[j]! * width + c]!);
        call.output("user_gradient").data[s * width + c] = lossGradient.data[s]! * sum;
      }
      call.output("target_scale").data[s] = score(s, 0);
    }
    if (call.has("negative_scale")) {
      const { data } = call.output("negative_scale");
      for (let i = 0; i < data.length; i++) data[i] = score(Math.floor(i / draws), 1 + (i % draws));
      return;
    }
    for (let d = 0; d < draws; d++) {
      let bias = 0;
      const row = new Float64Array(width);
      for (let s = 0; s < user.rows; s++) {
        bias += score(s, 1 + d);
        for (let c = 0; c < width; c++) {
          row[c]! += round(byLogit(s, 1 + d)) * round(lossGradient.data[s]! * user.data[s * width + c]!);
        }
      }
      call.output("negative_bias").data[d] = bias;
      call.output("negative_rows").data.set(row, d * width);
    }
  },
  cost: (call) => {
    const [user, gradient] = [call.input("user"), call.input("logit_gradient")];
    const pairs = gradient.rows * gradient.columns;
    const shared = call.has("negative_rows");
    return {
      flops: (shared ? 4 : 2) * pairs * user.columns,
      bytes: 4 * ((candidateRows(call) * (shared ? 2 : 1) + 2 * user.rows) * user.columns + 3 * pairs),
    };
  },
};

/** Operands of the losses over draws: `nce`, `paddleNce` and `sampledSoftmax`. */
export interface CandidateLossInputs {
  /** The user vectors [samples, width]. */
  readonly user: Tensor;
  /** The item vectors [items, width]. */
  readonly weight: Tensor;
  /** The item biases [items] (default 0). */
  readonly bias?: Tensor | undefined;
  /** The target item of each sample, int32 [samples]. */
  readonly target: Tensor;
  /** The negatives: int32 [samples, draws], or [draws] if all samples share them. */
  readonly negatives: Tensor;
  /** The logarithm of the noise distribution [items]. */
  readonly logNoise: Tensor;
}

/** Options of the losses over draws. */
export interface CandidateLossOptions {
  /** To which precision the operands of products with shared draws are rounded (default "float32"). */
  readonly precision?: Precision;
}

export const CANDIDATE_LOSS_OPTIONS: Readonly<Record<keyof CandidateLossOptions, true>> = { precision: true };

/** Returns the loss of each sample [samples] by one of the three ops. */
export function applyCandidateLoss(
  graph: Graph,
  op: GraphOp,
  name: string,
  inputs: CandidateLossInputs,
  { precision = "float32" }: CandidateLossOptions,
): Tensor {
  const { logNoise, ...rest } = inputs;
  return graph.apply(op, name, { ...rest, log_noise: logNoise }, { precision })["loss"]!;
}
