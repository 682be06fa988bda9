import type { Graph, Tensor } from "../graph/graph.js";
import {
  applyCandidateLoss,
  CANDIDATE_INPUTS,
  CANDIDATE_OUTPUTS,
  type CandidateLossInputs,
  candidateCost,
  candidateGradientRule,
  candidateShapes,
  candidatesOf,
  checkCandidateIds,
  logExpectedCount,
  logit,
} from "./candidate_gradient.js";
import { sigmoid, softplus } from "./numerics.js";
import type { Op } from "./op.js";

/**
 * NCE as PaddlePaddle v0.11 computes it (`NCELayer`; docs/math.md#losses): the model's unnormalised probability is a
 * sigmoid. With s = w·u + b, o = σ(s) and β = k·q:
 *
 *     loss = −log(o / (o + β)) for the target  −  Σ_d log(β / (o + β)) over the draws,
 *     ∂loss/∂s₀ = −β (1 − o) / (o + β),   ∂loss/∂s_d = o (1 − o) / (o + β).
 *
 * It ranks as `nce` does, though its scores are not log probabilities.
 */
export const paddleNceOp: Op = {
  name: "paddle_nce",
  inputs: CANDIDATE_INPUTS,
  outputs: CANDIDATE_OUTPUTS,
  attributes: {},
  shapes: candidateShapes,
  gradient: candidateGradientRule,
  check: checkCandidateIds,
  reference: (call) => {
    const [loss, gradient] = [call.output("loss"), call.output("logit_gradient")];
    for (let s = 0; s < loss.rows; s++) {
      let sum = 0;
      candidatesOf(call, s).forEach((item, j) => {
        const score = logit(call, s, item);
        const beta = Math.exp(logExpectedCount(call, item));
        const [o, rest] = [sigmoid(score), sigmoid(-score)];
        // −log o is taken from the score: o itself vanishes where the score is very negative.
        sum += j === 0 ? Math.log(o + beta) + softplus(-score) : Math.log1p(o / beta);
        gradient.data[s * gradient.columns + j] = ((j === 0 ? -beta : o) * rest) / (o + beta);
      });
      loss.data[s] = sum;
    }
  },
  cost: candidateCost,
};

/** PaddlePaddle's NCE loss of each sample, [samples] (docs/math.md#losses). */
export function paddleNce(graph: Graph, name: string, inputs: CandidateLossInputs): Tensor {
  return applyCandidateLoss(graph, paddleNceOp, name, inputs);
}
