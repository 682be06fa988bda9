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
import { logSumExp } from "./numerics.js";
import type { Op } from "./op.js";

/**
 * Sampled softmax (Jean et al. 2015; docs/math.md#losses): cross-entropy over the target (candidate 0) and k draws from
 * the noise q:
 *
 *     s' = w·u + b − log(k·q),   loss = log Σⱼ exp(s'ⱼ) − s'₀,   ∂loss/∂sⱼ = exp(s'ⱼ) / Σ exp(s') − [j = 0].
 *
 * A draw that is the target itself (an accidental hit) is left out of the sum; its gradient is 0.
 */
export const sampledSoftmaxOp: Op = {
  name: "sampled_softmax",
  inputs: CANDIDATE_INPUTS,
  outputs: CANDIDATE_OUTPUTS,
  attributes: {},
  shapes: candidateShapes,
  gradient: candidateGradientRule,
  check: checkCandidateIds,
  reference: (call) => {
    const [loss, gradient] = [call.output("loss"), call.output("logit_gradient")];
    for (let s = 0; s < loss.rows; s++) {
      const corrected = candidatesOf(call, s).map((item, j, [target]) =>
        j > 0 && item === target ? -Infinity : logit(call, s, item) - logExpectedCount(call, item),
      );
      const partition = logSumExp(corrected);
      loss.data[s] = partition - corrected[0]!;
      corrected.forEach((score, j) => {
        gradient.data[s * gradient.columns + j] = Math.exp(score - partition) - (j === 0 ? 1 : 0);
      });
    }
  },
  cost: candidateCost,
};

/** The sampled-softmax loss of each sample, [samples] (docs/math.md#losses). */
export function sampledSoftmax(graph: Graph, name: string, inputs: CandidateLossInputs): Tensor {
  return applyCandidateLoss(graph, sampledSoftmaxOp, name, inputs);
}
