#pragma once

#include "native/ops/excluded.h"
#include "native/ops/scores.h"

// Ranks of the samples' targets, for ops that scan the items in tiles (target_rank, top_n_and_rank). Equality of scores
// is exact, because the target's score, which is computed first, has the same bits as in its tile (gemm.h).

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kRanksPerChunk = 16;

enum RankInput { kUser, kWeight, kBias, kExcluded, kExcludedOffsets, kTarget };

const SlotType kRankInputs[] = {float32("user", 2),
                                float32("weight", 2),
                                optional(float32("bias", 1)),
                                int32("excluded", 1),
                                int32("excluded_offsets", 1),
                                int32("target", 1),
                                kNoSlot};

// Checks the inputs, and the output `rank`.
void check_ranks(const Call& call, const Tensor& rank) {
  const Tensor& user = call.input(kUser);
  const Tensor& weight = call.input(kWeight);
  check_scores(call, user, weight, call.inputs[kBias]);
  expect(call, is_shape(call.input(kTarget), user.rows, 1), "target [samples]");
  expect(call, is_shape(rank, user.rows, 1), "rank [samples]");
  check_excluded(call, call.input(kExcluded), call.input(kExcludedOffsets), user.rows, weight.rows);
  check_ids(call, call.input(kTarget), weight.rows);
}

// The scores of a tile's samples that are higher than the target's score, and those that are equal to it.
struct RankCounts {
  const float* own_score;  // of the target of each column
  int32_t* higher;
  int32_t* equal;

  SHORTLIST_INLINE void clear() {
    for (int64_t c = 0; c < kSamplesPerTile; ++c) higher[c] = equal[c] = 0;
  }

  // Counts the scores of a tile in the vector of columns from c on.
  SHORTLIST_INLINE void add(const float* tile, int64_t items, int64_t c) {
    const vf score = load(own_score + c);
    vi more = load(higher + c), as_much = load(equal + c);
    for (int64_t r = 0; r < items; ++r) {
      const vf other = load(tile + r * kSamplesPerTile + c);
      more -= ~(other <= score);  // −1 in lanes where other > score or one of them is NaN
      as_much -= other == score;
    }
    store(higher + c, more);
    store(equal + c, as_much);
  }

  // Takes a score of column c back.
  SHORTLIST_INLINE void remove(float score, int64_t c) {
    higher[c] -= !(score <= own_score[c]);
    equal[c] -= score == own_score[c];
  }
};

// The counts of all samples in each stripe of the items.
struct StripeCounts {
  int64_t stripes;
  int64_t padded;   // samples, rounded up to whole tiles
  int64_t skipped;  // targets below are misses
  const int32_t* target;
  float* own_score;  // [padded]
  int32_t* higher;   // [stripes, padded]
  int32_t* equal;

  // The counts of a tile of samples, from `first` on.
  SHORTLIST_INLINE RankCounts of(int64_t stripe, int64_t first) const {
    return {own_score + first, higher + stripe * padded + first, equal + stripe * padded + first};
  }

  SHORTLIST_INLINE float rank(int64_t s) const {
    if (target[s] < skipped || !__builtin_isfinite(own_score[s])) return __builtin_inff();
    int64_t above = 0, same = -1;  // the target itself is among the equal ones
    for (int64_t stripe = 0; stripe < stripes; ++stripe) {
      above += higher[stripe * padded + s];
      same += equal[stripe * padded + s];
    }
    return static_cast<float>(1.0 + static_cast<double>(above) + 0.5 * static_cast<double>(same));
  }
};

// Computes the scores of the targets, before any are counted.
SHORTLIST_INLINE StripeCounts stripe_counts(const Call& call, const Scorer& scorer, int64_t stripes,
                                            const Tensor& target) {
  const int64_t samples = target.rows, padded = round_up(samples, kSamplesPerTile);
  StripeCounts counts = {stripes, padded, skipped_rows(call), target.i32(), nullptr, nullptr, nullptr};
  counts.own_score = float_scratch(call, padded);
  counts.higher = int_scratch(call, stripes * padded);
  counts.equal = int_scratch(call, stripes * padded);
  parallel_blocks(call, padded, kSamplesPerTile, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) counts.own_score[s] = s < samples ? scorer.score(counts.target[s], s) : 0;
  });
  return counts;
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
