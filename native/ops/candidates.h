#pragma once

#include "native/ops/gemm.h"
#include "native/ops/operands.h"
#include "native/simd/math.h"

// What the losses over a target and drawn negatives (nce, paddle_nce, sampled_softmax) have in common: their operands,
// and the scores of all candidates. Draws are [samples, draws], with own draws for each sample, or [draws], one set for
// the batch.
//
// Own draws: the candidates of a sample are random rows of the weight, and their scores are computed four at a time.
// Reading the rows takes most of the time, so they are prefetched, also those of the next samples. Shared draws: the
// rows are gathered once, and the scores are one matrix product, whose operands are rounded with precision "bf16".

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum CandidateInput { kUser, kWeight, kBias, kTarget, kNegatives, kLogNoise };
enum CandidateOutput { kLoss, kLogitGradient };

const SlotType kCandidateInputs[] = {float32("user", 2),
                                     float32("weight", 2),
                                     optional(float32("bias", 1)),
                                     int32("target", 1),
                                     int32("negatives", kAnyRank),
                                     float32("log_noise", 1),
                                     kNoSlot};
const SlotType kCandidateOutputs[] = {float32("loss", 1), float32("logit_gradient", 2), kNoSlot};

const int64_t kSamplesPerBlock = 16;
const int64_t kDrawsPerChunk = 256;
const int64_t kPrefetchAhead = 16;  // candidates: the distance within a sample, and the number for a later sample
const int64_t kSamplesAhead = 2;    // the distance of that later sample

// Checks the operands that the losses and their gradient have in common.
SHORTLIST_INLINE void check_drawn(const Call& call, const Tensor& user, const Tensor& weight, const Tensor& target,
                                  const Tensor& negatives, const Tensor& logit_gradient) {
  const int64_t samples = user.rows, draws = logit_gradient.columns - 1;
  check_precision(call);
  expect(call, weight.columns == user.columns, "weight as wide as user");
  expect(call, is_shape(target, samples, 1), "target [samples]");
  expect(call, logit_gradient.rows == samples, "logit_gradient [samples, 1 + draws]");
  expect(call, is_shape(negatives, samples, draws) || is_shape(negatives, draws, 1),
         "negatives [samples, draws] or [draws]");
  check_ids(call, target, weight.rows);
  check_ids(call, negatives, weight.rows);
}

// Whether all samples share their draws. For one sample and one draw both forms are [1, 1] and mean the same.
SHORTLIST_INLINE bool are_shared(const Tensor& negatives, int64_t samples, int64_t draws) {
  return !is_shape(negatives, samples, draws);
}

SHORTLIST_INLINE void check_candidates(const Call& call) {
  const Tensor& user = call.input(kUser);
  const Tensor& weight = call.input(kWeight);
  check_drawn(call, user, weight, call.input(kTarget), call.input(kNegatives), call.output(kLogitGradient));
  expect(call, is_shape(call.output(kLoss), user.rows, 1), "loss [samples]");
  expect(call, is_shape(call.input(kLogNoise), weight.rows, 1), "log_noise [items]");
  if (call.has(kBias)) expect(call, is_shape(call.input(kBias), weight.rows, 1), "bias [items]");
}

// The rows of shared draws: [draws, width].
SHORTLIST_INLINE float* gather_draws(const Call& call, const Tensor& weight, const Tensor& negatives) {
  const int64_t width = weight.columns;
  float* const rows = float_scratch(call, negatives.rows * width);
  parallel_blocks(call, negatives.rows, kDrawsPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t d = begin; d < end; ++d) {
      const float* const from = weight.row(negatives.i32()[d]);
      for (int64_t c = 0; c < width; ++c) rows[d * width + c] = from[c];
    }
  });
  return rows;
}

// Prefetches the rows of the first candidates of a later sample.
SHORTLIST_INLINE void prefetch_candidates(const Tensor& weight, int32_t target, const int32_t* draws, int64_t count) {
  prefetch_row(weight.row(target), weight.columns);
  for (int64_t d = 0; d < kPrefetchAhead && d < count; ++d) prefetch_row(weight.row(draws[d]), weight.columns);
}

// to[0] = weight[target] · user; to[1 + d] = weight[draws[d]] · user for each of `count` draws.
SHORTLIST_INLINE void score_rows(const Tensor& weight, const float* user, int32_t target, const int32_t* draws,
                                 int64_t count, float* to) {
  const int64_t width = weight.columns;
  const int64_t whole = width / kLanes * kLanes, rest = width - whole;
  for (int64_t j = 0; j <= count; j += 4) {
    for (int64_t i = j + kPrefetchAhead; i < j + kPrefetchAhead + 4 && i < count; ++i)
      prefetch_row(weight.row(draws[i]), width);
    const int64_t rows = count + 1 - j < 4 ? count + 1 - j : 4;
    const float* row[4];
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t candidate = j + (i < rows ? i : 0);
      row[i] = weight.row(candidate == 0 ? target : draws[candidate - 1]);
    }
    vf sum[4] = {vf{}, vf{}, vf{}, vf{}};
    for (int64_t c = 0; c < whole; c += kLanes) {
      const vf u = load(user + c);
      for (int i = 0; i < 4; ++i) sum[i] = madd(u, load(row[i] + c), sum[i]);
    }
    if (rest > 0) {
      const vf u = load_first(user + whole, rest);
      for (int i = 0; i < 4; ++i) sum[i] = madd(u, load_first(row[i] + whole, rest), sum[i]);
    }
    for (int64_t i = 0; i < rows; ++i) to[j + i] = sum_of_lanes(sum[i]);
  }
}

// The candidates of one sample, the target first.
struct Candidates {
  float* logit;        // in: the scores w·u + b; out: the gradient of the loss by them
  const float* noise;  // log(k·q) of each
  const int32_t* draws;
  int32_t target;
  int64_t count;  // 1 + draws
};

// Computes the scores of all candidates, calls float loss(const Candidates&) for each sample, and stores its result.
template <class Loss>
SHORTLIST_INLINE void for_each_sample(const Call& call, const Loss& loss) {
  const Tensor& user = call.input(kUser);
  const Tensor& weight = call.input(kWeight);
  const Tensor& negatives = call.input(kNegatives);
  const Tensor& logits = call.output(kLogitGradient);
  const int32_t* target = call.input(kTarget).i32();
  const float* bias = call.has(kBias) ? call.input(kBias).f32() : nullptr;
  const float* log_noise = call.input(kLogNoise).f32();
  const int64_t samples = user.rows, draws = logits.columns - 1, width = weight.columns;
  const bool shared = are_shared(negatives, samples, draws);
  const float log_draws = static_cast<float>(__builtin_log(static_cast<double>(draws)));

  const float* shared_noise = nullptr;
  if (shared) {
    float* const rows = gather_draws(call, weight, negatives);
    float* const biases = float_scratch(call, draws);
    float* const noise = float_scratch(call, draws);
    parallel_blocks(call, draws, kDrawsPerChunk, [&](int64_t begin, int64_t end) {
      for (int64_t d = begin; d < end; ++d) {
        const int32_t id = negatives.i32()[d];
        biases[d] = bias ? bias[id] : 0;
        noise[d] = log_draws + log_noise[id];
      }
    });
    shared_noise = noise;
    Epilogue epilogue;
    epilogue.column_bias = biases;
    const bool bf16 = is_bf16(call);
    multiply(call, samples, draws, width, {user.f32(), user.stride, 1, bf16}, {rows, 1, width, bf16}, logits.f32() + 1,
             logits.stride, epilogue);
  }

  const int64_t noise_stride = round_up(draws + 1, 16);
  float* noise = float_scratch(call, (samples + kSamplesPerBlock - 1) / kSamplesPerBlock * noise_stride);
  parallel_blocks(call, samples, kSamplesPerBlock, [&](int64_t begin, int64_t end) {
    float* own_noise = noise + begin / kSamplesPerBlock * noise_stride;
    if (shared) {
      for (int64_t d = 0; d < draws; ++d) own_noise[1 + d] = shared_noise[d];
    }
    for (int64_t s = begin; s < end; ++s) {
      float* logit = logits.row(s);
      const int32_t* ids = shared ? negatives.i32() : negatives.i32() + s * negatives.stride;
      if (!shared && s + kSamplesAhead < end) {
        const int32_t* ahead = ids + kSamplesAhead * negatives.stride;
        prefetch_candidates(weight, target[s + kSamplesAhead], ahead, draws);
        for (int64_t d = 0; d < kPrefetchAhead && d < draws; ++d) {
          __builtin_prefetch(log_noise + ahead[d]);
          if (bias) __builtin_prefetch(bias + ahead[d]);
        }
      }
      score_rows(weight, user.row(s), target[s], ids, shared ? 0 : draws, logit);
      if (bias) logit[0] += bias[target[s]];
      own_noise[0] = log_draws + log_noise[target[s]];
      if (!shared) {
        for (int64_t d = 0; d < draws; ++d) own_noise[1 + d] = log_draws + log_noise[ids[d]];
        for (int64_t d = 0; bias && d < draws; ++d) logit[1 + d] += bias[ids[d]];
      }
      call.output(kLoss).f32()[s] = loss(Candidates{logit, own_noise, ids, target[s], draws + 1});
    }
  });
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
