// NCE as PaddlePaddle v0.11 computes it (NCELayer), over a target and k draws; formulas in src/ops/paddle_nce.ts.
//
// o = σ(s), s = w·u + b, β = k·q:  loss = log(o + β) + log(1 + e⁻ˢ) for the target, log(1 + o/β) for each draw;
// ∂loss/∂s = −β(1 − o)/(o + β) for the target, o(1 − o)/(o + β) for a draw. Outputs are overwritten. Nothing aliases.

#include "native/ops/candidates.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

float paddle_loss(const Candidates& candidates) {
  vf sum = vf{};
  float first = 0;
  for (int64_t j = 0; j < candidates.count; j += kLanes) {
    const int64_t left = candidates.count - j;
    const vf score = load_upto(candidates.logit + j, left);
    const vf beta = exponential(load_upto(candidates.noise + j, left));
    const vf o = sigmoid(score), rest = sigmoid(-score);
    vf loss = logarithm_1p(o / beta), gradient = o * rest / (o + beta);
    if (j == 0) {
      const vf of_target = logarithm(o + beta) + softplus(-score);
      first = of_target[0];
      loss[0] = 0;
      gradient[0] = (-beta * rest / (o + beta))[0];
    }
    sum += keep_upto(loss, left, 0.0f);
    store_upto(candidates.logit + j, gradient, left);
  }
  return first + sum_of_lanes(sum);
}

void run_paddle_nce(const Call& call) { for_each_sample(call, paddle_loss); }

}  // namespace

extern const Op paddle_nce = {"paddle_nce", kCandidateInputs, kCandidateOutputs, check_candidates, run_paddle_nce};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
