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
 * Noise-contrastive estimation (Gutmann & Hyvärinen 2010; Mnih & Teh 2012; docs/math.md#losses), k draws from the noise
 * q:
 *
 *     s' = w·u + b − log(k·q),   loss = −log σ(s'₀) − Σ_d log σ(−s'_d),   ∂loss/∂s₀ = σ(s'₀) − 1,  ∂loss/∂s_d = σ(s'_d).
 *
 * Candidate 0 is the target. The correction is subtracted: the score itself then learns log p(item | user).
 */
export const nceOp: Op = {
  name: "nce",
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
        const corrected = logit(call, s, item) - logExpectedCount(call, item);
        sum += j === 0 ? softplus(-corrected) : softplus(corrected);
        gradient.data[s * gradient.columns + j] = j === 0 ? -sigmoid(-corrected) : sigmoid(corrected);
      });
      loss.data[s] = sum;
    }
  },
  cost: candidateCost,
};

/** The NCE loss of each sample, [samples] (docs/math.md#losses). */
export function nce(graph: Graph, name: string, inputs: CandidateLossInputs): Tensor {
  return applyCandidateLoss(graph, nceOp, name, inputs);
}
