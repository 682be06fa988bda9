// Sampled softmax (Jean et al. 2015): cross-entropy over a target and k draws, without the draws that equal the target.
//
// s' = w·u + b − log(k·q);  loss = log Σ exp(s') − s'₀;  ∂loss/∂s'_j = exp(s'_j) / Σ exp(s') − [j = 0], and 0 for a
// draw that is left out. Outputs are overwritten. Nothing aliases. The three loops over a sample's row find it in the
// cache.

#include "native/ops/candidates.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

float softmax_loss(const Candidates& candidates) {
  float* logit = candidates.logit;
  const int64_t count = candidates.count;
  vf best = splat(-__builtin_inff());
  for (int64_t j = 0; j < count; j += kLanes) {
    const int64_t left = count - j;
    vf x = load_upto(logit + j, left) - load_upto(candidates.noise + j, left);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t i = j + lane;
      if (i >= count || (i > 0 && candidates.draws[i - 1] == candidates.target)) x[lane] = -__builtin_inff();
    }
    best = x > best ? x : best;
    store_upto(logit + j, x, left);
  }
  const float target = logit[0];
  // `most` must be finite, so that −∞ − most is −∞ and not NaN.
  float most = largest_lane(best);
  most = most > -3.4e38f ? most : -3.4e38f;
  vf sum = vf{};
  for (int64_t j = 0; j < count; j += kLanes) {
    const int64_t left = count - j;
    const vf x = keep_upto(load_upto(logit + j, left), left, -__builtin_inff());
    const vf power = exponential(x - most);
    sum += power;
    store_upto(logit + j, power, left);
  }
  const float total = sum_of_lanes(sum);
  const float scale = 1.0f / total;
  for (int64_t j = 0; j < count; j += kLanes) {
    store_upto(logit + j, load_upto(logit + j, count - j) * scale, count - j);
  }
  logit[0] -= 1.0f;
  return most - target + logarithm(splat(total))[0];
}

void run_sampled_softmax(const Call& call) { for_each_sample(call, softmax_loss); }

}  // namespace

extern const Op sampled_softmax = {"sampled_softmax", kCandidateInputs, kCandidateOutputs, check_candidates,
                                   run_sampled_softmax};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
