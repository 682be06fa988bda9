import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import {
  applyCandidateLoss,
  CANDIDATE_LOSS_OPTIONS,
  type CandidateLossInputs,
  type CandidateLossOptions,
  candidateLossOp,
} from "./candidate_gradient.js";
import { sigmoid, softplus } from "./numerics.js";

/**
 * NCE as in PaddlePaddle v0.11 (`NCELayer`; docs/math.md#losses), where the model's unnormalised probability is a
 * sigmoid. With s = w·u + b, o = σ(s) and β = k·q:
 *
 *     loss = −log(o / (o + β)) for the target  −  Σ_d log(β / (o + β)) over the draws,
 *     ∂loss/∂s₀ = −β (1 − o) / (o + β),   ∂loss/∂s_d = o (1 − o) / (o + β).
 *
 * Items can be ranked by its scores as by those of `nce`, but they are not log probabilities.
 */
export const paddleNceOp = candidateLossOp("paddle_nce", ({ scores, logExpected }) => {
  let loss = 0;
  const gradient = scores.map((score, j) => {
    const beta = Math.exp(logExpected[j]!);
    const [o, rest] = [sigmoid(score), sigmoid(-score)];
    // −log o is computed from the score, because o itself underflows for very negative scores.
    loss += j === 0 ? Math.log(o + beta) + softplus(-score) : Math.log1p(o / beta);
    return ((j === 0 ? -beta : o) * rest) / (o + beta);
  });
  return { loss, gradient };
});

/** Returns PaddlePaddle's NCE loss of each sample, [samples] (docs/math.md#losses). */
export function paddleNce(
  graph: Graph,
  name: string,
  inputs: CandidateLossInputs,
  options: CandidateLossOptions = {},
): Tensor {
  checkOptions("paddleNce", options, CANDIDATE_LOSS_OPTIONS);
  return applyCandidateLoss(graph, paddleNceOp, name, inputs, options);
}
