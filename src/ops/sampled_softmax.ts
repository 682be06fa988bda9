import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import {
  applyCandidateLoss,
  CANDIDATE_LOSS_OPTIONS,
  type CandidateLossInputs,
  type CandidateLossOptions,
  candidateLossOp,
} from "./candidate_gradient.js";
import { logSumExp } from "./numerics.js";

/**
 * Sampled softmax (Jean et al. 2015; docs/math.md#losses): cross-entropy over the target (candidate 0) and k draws from
 * the noise distribution q:
 *
 *     s' = w·u + b − log(k·q),   loss = log Σⱼ exp(s'ⱼ) − s'₀,   ∂loss/∂sⱼ = exp(s'ⱼ) / Σ exp(s') − [j = 0].
 *
 * A draw that is the target itself (an accidental hit) is left out of the sum, and its gradient is 0.
 */
export const sampledSoftmaxOp = candidateLossOp("sampled_softmax", ({ items, scores, logExpected }) => {
  const corrected = scores.map((score, j) => (j > 0 && items[j] === items[0] ? -Infinity : score - logExpected[j]!));
  const partition = logSumExp(corrected);
  return {
    loss: partition - corrected[0]!,
    gradient: corrected.map((score, j) => Math.exp(score - partition) - (j === 0 ? 1 : 0)),
  };
});

/** Returns the sampled-softmax loss of each sample, [samples] (docs/math.md#losses). */
export function sampledSoftmax(
  graph: Graph,
  name: string,
  inputs: CandidateLossInputs,
  options: CandidateLossOptions = {},
): Tensor {
  checkOptions("sampledSoftmax", options, CANDIDATE_LOSS_OPTIONS);
  return applyCandidateLoss(graph, sampledSoftmaxOp, name, inputs, options);
}
