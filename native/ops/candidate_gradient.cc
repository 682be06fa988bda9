// The gradient of the losses over a target and drawn negatives (nce, paddle_nce, sampled_softmax). Candidate 0 of a
// sample is its target, candidate j its draw j − 1. With e[s, j] = loss_gradient[s] · logit_gradient[s, j]:
//
//   user_gradient[s] = Σ_j e[s, j] · weight[candidate j]    target_scale[s] = e[s, 0]
//   own draws:     negative_scale[s, d] = e[s, 1 + d]
//   shared draws:  negative_rows[d] = Σ_s e[s, 1 + d] · user[s],  negative_bias[d] = Σ_s e[s, 1 + d]
//
// Outputs are overwritten. Nothing aliases. With own draws, reading random rows of the weight takes most of the time;
// shared draws are matrix products, whose operands are rounded with precision "bf16".

#include "native/ops/candidates.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kScaledPerChunk = 256;  // user gradients
const int64_t kBiasesPerChunk = 64;   // each is a sum over all samples

enum Input { kLossGradient, kLogitGradientIn, kGradientUser, kGradientWeight, kGradientTarget, kGradientNegatives };
enum Output { kUserGradient, kTargetScale, kNegativeScale, kNegativeRows, kNegativeBias };

SHORTLIST_INLINE bool outputs(const Call& call, int slot) { return call.outputs[slot].count > 0; }

void check_gradient(const Call& call) {
  const Tensor& user = call.input(kGradientUser);
  const Tensor& logit_gradient = call.input(kLogitGradientIn);
  const int64_t samples = user.rows, draws = logit_gradient.columns - 1;
  check_drawn(call, user, call.input(kGradientWeight), call.input(kGradientTarget), call.input(kGradientNegatives),
              logit_gradient);
  expect(call, is_shape(call.input(kLossGradient), samples, 1), "loss_gradient [samples]");
  expect(call, same_shape(call.output(kUserGradient), user), "user_gradient of user's shape");
  expect(call, is_shape(call.output(kTargetScale), samples, 1), "target_scale [samples]");
  if (outputs(call, kNegativeScale)) {
    expect(call, !outputs(call, kNegativeRows) && !outputs(call, kNegativeBias),
           "negative_scale, or negative_rows and negative_bias");
    expect(call, is_shape(call.output(kNegativeScale), samples, draws), "negative_scale [samples, draws]");
    expect(call, is_shape(call.input(kGradientNegatives), samples, draws), "negatives [samples, draws]");
  } else {
    expect(call, outputs(call, kNegativeRows) && outputs(call, kNegativeBias),
           "negative_scale, or negative_rows and negative_bias");
    expect(call, is_shape(call.output(kNegativeRows), draws, user.columns), "negative_rows [draws, width]");
    expect(call, is_shape(call.output(kNegativeBias), draws, 1), "negative_bias [draws]");
    expect(call, is_shape(call.input(kGradientNegatives), draws, 1), "negatives [draws]");
  }
}

// to [width] = first · weight[target] + Σ_d scale[d] · weight[draws[d]], in order. Strips of columns stay in registers.
SHORTLIST_INLINE void sum_candidates(const Tensor& weight, int32_t target, float first, const int32_t* draws,
                                     const float* scale, int64_t count, float* to) {
  for_each_strip(0, weight.columns, [&](auto vectors, int64_t c, int64_t left) {
    const int n = decltype(vectors)::value;
    vf sum[n];
    for (int i = 0; i < n; ++i) sum[i] = splat(first) * load_strip<n>(weight.row(target) + c, i, left);
    for (int64_t d = 0; d < count; ++d) {
      if (c == 0 && d + kPrefetchAhead < count) prefetch_row(weight.row(draws[d + kPrefetchAhead]), weight.columns);
      const float* row = weight.row(draws[d]) + c;
      for (int i = 0; i < n; ++i) sum[i] = madd(splat(scale[d]), load_strip<n>(row, i, left), sum[i]);
    }
    for (int i = 0; i < n; ++i) store_strip<n>(to + c, i, sum[i], left);
  });
}

struct Operands {
  const Tensor& user;
  const Tensor& weight;
  const Tensor& negatives;
  const Tensor& logit_gradient;
  const Tensor& user_gradient;
  const float* loss_gradient;
  const int32_t* target;
  float* target_scale;
  int64_t draws;
};

void own_draws(const Call& call, const Operands& o) {
  const Tensor& negative_scale = call.output(kNegativeScale);
  parallel_blocks(call, o.user.rows, kSamplesPerBlock, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const float by = o.loss_gradient[s];
      const float* __restrict from = o.logit_gradient.row(s) + 1;
      float* __restrict scale = negative_scale.row(s);
      o.target_scale[s] = by * from[-1];
      for (int64_t d = 0; d < o.draws; ++d) scale[d] = by * from[d];
      const int32_t* ids = o.negatives.i32() + s * o.negatives.stride;
      if (s + kSamplesAhead < end) {
        prefetch_candidates(o.weight, o.target[s + kSamplesAhead], ids + kSamplesAhead * o.negatives.stride, o.draws);
      }
      sum_candidates(o.weight, o.target[s], o.target_scale[s], ids, scale, o.draws, o.user_gradient.row(s));
    }
  });
}

// e is never computed: loss_gradient scales the users before one product, and the user gradients after the other.
void shared_draws(const Call& call, const Operands& o) {
  const int64_t samples = o.user.rows, width = o.weight.columns;
  float* const users = float_scratch(call, samples * width);
  parallel_blocks(call, samples, kSamplesPerBlock, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const float by = o.loss_gradient[s], first = o.logit_gradient.row(s)[0];
      const float* __restrict user = o.user.row(s);
      float* __restrict scaled = users + s * width;
      o.target_scale[s] = by * first;
      for (int64_t c = 0; c < width; ++c) scaled[c] = by * user[c];
      sum_candidates(o.weight, o.target[s], first, nullptr, nullptr, 0, o.user_gradient.row(s));
    }
  });
  float* const rows = gather_draws(call, o.weight, o.negatives);
  const float* const logits = o.logit_gradient.f32() + 1;
  const int64_t stride = o.logit_gradient.stride;
  Epilogue add_to_target;
  add_to_target.accumulate = true;
  const bool bf16 = is_bf16(call);
  multiply(call, samples, width, o.draws, {logits, stride, 1, bf16}, {rows, width, 1, bf16}, o.user_gradient.f32(),
           o.user_gradient.stride, add_to_target);
  const Tensor& negative_rows = call.output(kNegativeRows);
  multiply(call, o.draws, width, samples, {logits, 1, stride, bf16}, {users, width, 1, bf16}, negative_rows.f32(),
           negative_rows.stride, {});
  parallel_blocks(call, samples, kScaledPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      float* const gradient = o.user_gradient.row(s);
      for (int64_t c = 0; c < width; ++c) gradient[c] *= o.loss_gradient[s];
    }
  });
  float* const negative_bias = call.output(kNegativeBias).f32();
  parallel_blocks(call, o.draws, kBiasesPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t d = begin; d < end; ++d) negative_bias[d] = 0;
    for (int64_t s = 0; s < samples; ++s) {
      for (int64_t d = begin; d < end; ++d) negative_bias[d] += o.loss_gradient[s] * logits[s * stride + d];
    }
  });
}

void gradient(const Call& call) {
  const Tensor& logit_gradient = call.input(kLogitGradientIn);
  const Operands operands = {call.input(kGradientUser),         call.input(kGradientWeight),
                             call.input(kGradientNegatives),    logit_gradient,
                             call.output(kUserGradient),        call.input(kLossGradient).f32(),
                             call.input(kGradientTarget).i32(), call.output(kTargetScale).f32(),
                             logit_gradient.columns - 1};
  if (outputs(call, kNegativeScale)) {
    own_draws(call, operands);
  } else {
    shared_draws(call, operands);
  }
}

const SlotType kInputs[] = {float32("loss_gradient", 1),
                            float32("logit_gradient", 2),
                            float32("user", 2),
                            float32("weight", 2),
                            int32("target", 1),
                            int32("negatives", kAnyRank),
                            kNoSlot};
const SlotType kOutputs[] = {float32("user_gradient", 2),
                             float32("target_scale", 1),
                             optional(float32("negative_scale", 2)),
                             optional(float32("negative_rows", 2)),
                             optional(float32("negative_bias", 1)),
                             kNoSlot};

}  // namespace

extern const Op candidate_gradient = {"candidate_gradient", kInputs, kOutputs, check_gradient, gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
