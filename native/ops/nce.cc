// Noise-contrastive estimation (Gutmann & Hyvärinen 2010; Mnih & Teh 2012) over a target and k draws.
//
// s' = w·u + b − log(k·q);  loss = −log σ(s'₀) − Σ log σ(−s');  ∂loss/∂s'₀ = −σ(−s'₀), ∂loss/∂s'_d = σ(s'_d).
// Outputs are overwritten. Nothing aliases. candidates.h computes the scores s and calls the loss of each sample.

#include "native/ops/candidates.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

float nce_loss(const Candidates& candidates) {
  vf sum = vf{};
  float first = 0;
  for (int64_t j = 0; j < candidates.count; j += kLanes) {
    const int64_t left = candidates.count - j;
    // With the target's sign reversed, the loss of every lane is −log σ(−x), with gradient σ(x).
    vf x = load_upto(candidates.logit + j, left) - load_upto(candidates.noise + j, left);
    if (j == 0) x[0] = -x[0];
    vf loss = softplus(x), gradient = sigmoid(x);
    if (j == 0) {
      first = loss[0];
      loss[0] = 0;
      gradient[0] = -gradient[0];
    }
    sum += keep_upto(loss, left, 0.0f);
    store_upto(candidates.logit + j, gradient, left);
  }
  return first + sum_of_lanes(sum);
}

void run_nce(const Call& call) { for_each_sample(call, nce_loss); }

}  // namespace

extern const Op nce = {"nce", kCandidateInputs, kCandidateOutputs, check_candidates, run_nce};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
