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
 * Noise-contrastive estimation (Gutmann & Hyvärinen 2010; Mnih & Teh 2012; docs/math.md#losses) with k draws from the
 * noise distribution q:
 *
 *     s' = w·u + b − log(k·q),   loss = −log σ(s'₀) − Σ_d log σ(−s'_d),
 *     ∂loss/∂s₀ = σ(s'₀) − 1,   ∂loss/∂s_d = σ(s'_d).
 *
 * Candidate 0 is the target. Because log(k·q) is subtracted, the score itself learns log p(item | user).
 */
export const nceOp = candidateLossOp("nce", ({ scores, logExpected }) => {
  const corrected = scores.map((score, j) => score - logExpected[j]!);
  const losses = corrected.map((score, j) => (j === 0 ? softplus(-score) : softplus(score)));
  return {
    loss: losses.reduce((sum, loss) => sum + loss, 0),
    gradient: corrected.map((score, j) => (j === 0 ? -sigmoid(-score) : sigmoid(score))),
  };
});

/** Returns the NCE loss of each sample, [samples] (docs/math.md#losses). */
export function nce(
  graph: Graph,
  name: string,
  inputs: CandidateLossInputs,
  options: CandidateLossOptions = {},
): Tensor {
  checkOptions("nce", options, CANDIDATE_LOSS_OPTIONS);
  return applyCandidateLoss(graph, nceOp, name, inputs, options);
}
