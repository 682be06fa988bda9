// The rank of each sample's target among all items, by score w·u + b:
//
// rank[s] = 1 + (number of candidates with a higher score) + ½ (number of other candidates with an equal score). It is
// +∞ if target < skip_rows or the target's score is not finite. A candidate with a NaN score counts as higher, so that
// NaN never improves a rank. Candidates are the rows from skip_rows on, without the sample's excluded items; the target
// is never excluded. The output is overwritten. Nothing aliases.
//
// Scores are computed in tiles and counted for a vector of samples at once (scores.h). Equality is exact, because the
// target's score, which is computed first, has the same bits as in its tile (gemm.h).

#include "native/ops/excluded.h"
#include "native/ops/scores.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kMostStripes = 32;
const int64_t kRanksPerChunk = 16;

enum Input { kUser, kWeight, kBias, kExcluded, kExcludedOffsets, kTarget };

void check_rank(const Call& call) {
  const Tensor& user = call.input(kUser);
  const Tensor& weight = call.input(kWeight);
  check_scores(call, user, weight, call.inputs[kBias]);
  expect(call, is_shape(call.input(kTarget), user.rows, 1), "target [samples]");
  expect(call, is_shape(call.output(0), user.rows, 1), "rank [samples]");
  check_excluded(call, call.input(kExcluded), call.input(kExcludedOffsets), user.rows, weight.rows);
  check_ids(call, call.input(kTarget), weight.rows);
}

void find_rank(const Call& call) {
  const Tensor& user = call.input(kUser);
  const int32_t* target = call.input(kTarget).i32();
  float* rank = call.output(0).f32();
  const int64_t samples = user.rows, skipped = skipped_rows(call);
  const Excluded excluded = excluded_of(call, call.input(kExcluded), call.input(kExcludedOffsets));
  const Scorer scorer = scorer_of(call, user, call.input(kWeight), call.inputs[kBias]);
  const Stripes stripes = stripes_of(skipped, call.input(kWeight).rows, kMostStripes);
  const int64_t blocks = (samples + kSamplesPerTile - 1) / kSamplesPerTile, padded = blocks * kSamplesPerTile;
  float* own_score = float_scratch(call, padded);
  int32_t* higher = int_scratch(call, stripes.count * padded);  // [stripes, padded]
  int32_t* equal = int_scratch(call, stripes.count * padded);
  parallel_blocks(call, padded, kSamplesPerTile, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) own_score[s] = s < samples ? scorer.score(target[s], s) : 0;
  });
  parallel(call, stripes.count * blocks, [&](int64_t chunk) {
    const int64_t stripe = chunk / blocks, first = chunk % blocks * kSamplesPerTile;
    const int64_t own = samples - first < kSamplesPerTile ? samples - first : kSamplesPerTile;
    int32_t* above = higher + stripe * padded + first;
    int32_t* same = equal + stripe * padded + first;
    for (int64_t c = 0; c < kSamplesPerTile; ++c) above[c] = same[c] = 0;
    alignas(64) float tile[kItemsPerTile * kSamplesPerTile];
    ExcludedCursor cursor;
    cursor.start(excluded, first, own, stripes.begin(stripe));
    for (int64_t i = stripes.begin(stripe); i < stripes.end(stripe); i += kItemsPerTile) {
      const int64_t items = stripes.end(stripe) - i < kItemsPerTile ? stripes.end(stripe) - i : kItemsPerTile;
      scorer.tile(i, items, first, own, tile, kSamplesPerTile);
      cursor.take_out(tile, i, items, own, target + first, -__builtin_inff());
      for (int64_t c = 0; c < own; c += kLanes) {
        const vf score = load(own_score + first + c);
        vi more = load(above + c), as_much = load(same + c);
        for (int64_t r = 0; r < items; ++r) {
          const vf other = load(tile + r * kSamplesPerTile + c);
          more -= ~(other <= score);  // −1 in lanes where other > score or one of them is NaN
          as_much -= other == score;
        }
        store(above + c, more);
        store(same + c, as_much);
      }
    }
  });
  parallel_blocks(call, samples, kRanksPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      if (target[s] < skipped || !__builtin_isfinite(own_score[s])) {
        rank[s] = __builtin_inff();
        continue;
      }
      int64_t above = 0, same = -1;  // the target itself is among the equal ones
      for (int64_t stripe = 0; stripe < stripes.count; ++stripe) {
        above += higher[stripe * padded + s];
        same += equal[stripe * padded + s];
      }
      rank[s] = static_cast<float>(1.0 + static_cast<double>(above) + 0.5 * static_cast<double>(same));
    }
  });
}

const SlotType kInputs[] = {float32("user", 2),
                            float32("weight", 2),
                            optional(float32("bias", 1)),
                            int32("excluded", 1),
                            int32("excluded_offsets", 1),
                            int32("target", 1),
                            kNoSlot};
const SlotType kOutputs[] = {float32("rank", 1), kNoSlot};

}  // namespace

extern const Op target_rank = {"target_rank", kInputs, kOutputs, check_rank, find_rank};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
