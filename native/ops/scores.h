#pragma once

#include "native/ops/gemm.h"
#include "native/ops/operands.h"
#include "native/ops/row_lanes.h"
#include "native/simd/math.h"

// Scores w·u + b of all items for all samples, for the ops that scan the items (softmax, top_n, target_rank). Scores
// are computed in tiles [items, samples]: rows of the weight are read in place, once for each block of samples; the
// users are packed once. Loops over a tile have one sample in each lane of a vector.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kItemsPerTile = kRowsPerBlock;
const int64_t kSamplesPerTile = 4 * kTileColumns;
const float kLowest = -3.40282347e38f;

// Up to so many samples, scores take less time with items in the lanes of a vector than with samples.
const int64_t kFewSamples = kLanes / 4;

// With users packed as bfloat16 numbers, the items are rounded to bfloat16 as well.
struct Scorer {
  Tensor user;          // [samples, width]
  PackedMatrix packed;  // userᵀ [width, samples]
  Tensor weight;
  const float* bias;  // [items] or nullptr
  float* rounded;     // [workers, kItemsPerTile, width] memory for rounded items, or nullptr

  // Writes the scores of items [first, first + items) for samples [first_sample, first_sample + samples) to `to`, whose
  // rows are `stride` apart. `first_sample` is a multiple of kTileColumns, and there are at most kItemsPerTile items.
  // Columns beyond the last sample, up to a whole vector, become 0 or the scores of a user vector of zeros.
  SHORTLIST_INLINE void tile(int64_t first, int64_t items, int64_t first_sample, int64_t samples, float* to,
                             int64_t stride) const {
    if (samples <= kFewSamples && !packed.bf16) return few_tile(first, items, first_sample, samples, to, stride);
    Epilogue epilogue;
    epilogue.row_bias = bias ? bias + first : nullptr;
    multiply_packed(items, first_sample, round_up(samples, kTileColumns), rows_of_tile(first, items), packed, to,
                    stride, epilogue);
  }

  // Writes the scores of items [first, first + items) for up to kFewSamples samples to `to`: those of a sample follow
  // each other, and samples are `between` elements apart. Items are filled up to a whole vector.
  SHORTLIST_INLINE void rows(int64_t first, int64_t items, int64_t first_sample, int64_t samples, float* to,
                             int64_t between) const {
    static_assert(kFewSamples <= 4, "there is a loop for each number of samples");
    if (samples == 1) rows_of<1>(first, items, first_sample, to, between);
    if (samples == 2) rows_of<2>(first, items, first_sample, to, between);
    if (samples == 3) rows_of<3>(first, items, first_sample, to, between);
    if (samples == 4) rows_of<4>(first, items, first_sample, to, between);
  }

  // The score of one item for one sample: the same bits as in a tile.
  SHORTLIST_INLINE float score(int64_t item, int64_t sample) const {
    float row[kTileColumns];
    tile(item, 1, sample / kTileColumns * kTileColumns, kTileColumns, row, kTileColumns);
    return row[sample % kTileColumns];
  }

 private:
  // Products of pairs round the items themselves.
  SHORTLIST_INLINE Matrix rows_of_tile(int64_t first, int64_t items) const {
    if (!packed.bf16 || kBf16Dots) return {weight.row(first), weight.stride, 1};
    float* const own = rounded + this_worker() * kItemsPerTile * weight.columns;
    for (int64_t i = 0; i < items; ++i) copy_row(own + i * weight.columns, weight.row(first + i), weight.columns, true);
    return {own, weight.columns, 1};
  }

  template <int kSamples>
  __attribute__((noinline)) void rows_of(int64_t first, int64_t items, int64_t first_sample, float* to,
                                         int64_t between) const {
    const float* const users = user.row(first_sample);
    const int64_t ahead = rows_ahead(kLanes, weight.stride) * weight.stride;
    for (int64_t i = 0; i < items; i += kLanes) {
      const int64_t count = items - i < kLanes ? items - i : kLanes;
      const float* const from = weight.row(first + i);
      vf score[kSamples];
      if (count == kLanes) {
        score_lanes<kSamples, true>(from, weight.stride, count, weight.columns, users, user.stride, from + ahead,
                                    score);
      } else {
        score_lanes<kSamples, false>(from, weight.stride, count, weight.columns, users, user.stride, nullptr, score);
      }
      const vf added = bias ? load_upto(bias + first + i, count) : vf{};
      for (int c = 0; c < kSamples; ++c) store(to + c * between + i, bias ? score[c] + added : score[c]);
    }
  }

  void few_tile(int64_t first, int64_t items, int64_t first_sample, int64_t samples, float* to, int64_t stride) const {
    const int64_t between = round_up(kItemsPerTile, kLanes);
    float scores[kFewSamples * between];
    rows(first, items, first_sample, samples, scores, between);
    for (int64_t i = 0; i < items; i += kLanes) {
      vf square[kLanes];
      for (int64_t c = 0; c < kLanes; ++c) square[c] = c < samples ? load(scores + c * between + i) : vf{};
      transpose(square);
      for (int64_t r = 0; r < kLanes && i + r < items; ++r) store(to + (i + r) * stride, square[r]);
    }
  }
};

// The memory for rounded items of a Scorer.
SHORTLIST_INLINE float* rounded_items(const Call& call, const Tensor& weight, bool bf16) {
  if (!bf16 || kBf16Dots) return nullptr;
  return float_scratch(call, worker_count(call) * kItemsPerTile * weight.columns);
}

SHORTLIST_INLINE Scorer scorer_of(const Call& call, const Tensor& user, const Tensor& weight, const Slot& bias,
                                  bool bf16 = false) {
  float* const memory = float_scratch(call, packed_elements(user.columns, user.rows));
  const PackedMatrix packed = {memory, user.columns, user.rows, bf16};
  pack(call, packed, {user.f32(), 1, user.stride});
  return {user, packed, weight, bias.count > 0 ? bias.tensors[0].f32() : nullptr, rounded_items(call, weight, bf16)};
}

// log Σ exp(score) of the samples of a tile, computed online: the largest score so far, and Σ exp(score − largest).
struct Partition {
  float most[kSamplesPerTile];
  float sum[kSamplesPerTile];

  SHORTLIST_INLINE void clear() {
    for (int64_t c = 0; c < kSamplesPerTile; ++c) {
      most[c] = kLowest;  // finite, so that −∞ − most is −∞ and not NaN
      sum[c] = 0;
    }
  }

  SHORTLIST_INLINE void add(const float* tile, int64_t stride, int64_t items, int64_t samples) {
    for (int64_t c = 0; c < samples; c += kLanes) {
      const vf before = load(most + c);
      vf best = before;
      for (int64_t i = 0; i < items; ++i) best = larger(load(tile + i * stride + c), best);
      vf total = load(sum + c) * exponential(before - best);
      for (int64_t i = 0; i < items; ++i) total += exponential(load(tile + i * stride + c) - best);
      store(most + c, best);
      store(sum + c, total);
    }
  }

  // Adds a tile's scores of sample c, which follow each other up to a whole vector: the same bits as `add`.
  SHORTLIST_INLINE void add_row(int64_t c, const float* scores, int64_t items) {
    vf bests = splat(most[c]);
    const int64_t whole = items / kLanes * kLanes;
    for (int64_t i = 0; i < whole; i += kLanes) bests = larger(load(scores + i), bests);
    float best = most[c];
    for (int lane = 0; lane < kLanes; ++lane) best = bests[lane] > best ? bests[lane] : best;
    for (int64_t i = whole; i < items; ++i) best = scores[i] > best ? scores[i] : best;
    float total = sum[c] * exponential(splat(most[c] - best))[0];
    for (int64_t i = 0; i < items; i += kLanes) {
      float terms[kLanes];
      store(terms, exponential(load(scores + i) - best));
      const int64_t count = items - i < kLanes ? items - i : kLanes;
      for (int64_t lane = 0; lane < count; ++lane) total += terms[lane];
    }
    most[c] = best;
    sum[c] = total;
  }
};

// log Σ exp(score) of one sample, from those of all parts of the items, which are `between` elements apart, in order.
SHORTLIST_INLINE float log_partition_of(const float* most, const float* sum, int64_t parts, int64_t between) {
  float best = kLowest;
  for (int64_t i = 0; i < parts; ++i) best = most[i * between] > best ? most[i * between] : best;
  vf total = vf{};
  for (int64_t i = 0; i < parts; ++i) {
    total += exponential(splat(most[i * between] - best)) * sum[i * between];
  }
  return best + logarithm(total)[0];
}

// The items from `first` on, divided into stripes of whole tiles.
struct Stripes {
  int64_t first;
  int64_t items;             // one past the last
  int64_t items_per_stripe;  // a multiple of kItemsPerTile
  int64_t count;

  SHORTLIST_INLINE int64_t begin(int64_t stripe) const { return first + stripe * items_per_stripe; }
  SHORTLIST_INLINE int64_t end(int64_t stripe) const {
    const int64_t stop = begin(stripe) + items_per_stripe;
    return stop < items ? stop : items;
  }
};

// At most `most` stripes. They depend on the arguments alone, and not on the number of threads.
SHORTLIST_INLINE Stripes stripes_of(int64_t first, int64_t items, int64_t most) {
  if (first >= items) return {items, items, kItemsPerTile, 0};
  const int64_t tiles = (items - first + kItemsPerTile - 1) / kItemsPerTile;
  const int64_t per_stripe = (tiles + most - 1) / most;
  return {first, items, per_stripe * kItemsPerTile, (tiles + per_stripe - 1) / per_stripe};
}

// Number of tiles of so many samples.
SHORTLIST_INLINE int64_t sample_tiles(int64_t samples) { return (samples + kSamplesPerTile - 1) / kSamplesPerTile; }

// Calls body(stripe, first, own) in parallel for each stripe and each tile of `own` samples from `first` on.
template <class Body>
SHORTLIST_INLINE void parallel_tiles(const Call& call, int64_t stripes, int64_t samples, const Body& body) {
  const int64_t tiles = sample_tiles(samples);
  parallel(call, stripes * tiles, [&](int64_t chunk) {
    const int64_t first = chunk % tiles * kSamplesPerTile;
    body(chunk / tiles, first, samples - first < kSamplesPerTile ? samples - first : kSamplesPerTile);
  });
}

SHORTLIST_INLINE int64_t skipped_rows(const Call& call) {
  return static_cast<int64_t>(number_attribute(call, "skip_rows"));
}

SHORTLIST_INLINE void check_scores(const Call& call, const Tensor& user, const Tensor& weight, const Slot& bias) {
  expect(call, weight.columns == user.columns, "weight as wide as user");
  if (bias.count > 0) expect(call, is_shape(bias.tensors[0], weight.rows, 1), "bias [items]");
  whole_attribute(call, "skip_rows", 0, INT32_MAX);
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
