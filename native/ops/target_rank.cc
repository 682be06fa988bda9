// The rank of each sample's target among all items, by score w·u + b:
//
// rank[s] = 1 + (number of candidates with a higher score) + ½ (number of other candidates with an equal score). It is
// +∞ if target < skip_rows or the target's score is not finite. A candidate with a NaN score counts as higher, so that
// NaN never improves a rank. Candidates are the rows from skip_rows on, without the sample's excluded items; the target
// is never excluded. The output is overwritten. Nothing aliases.
//
// Scores are computed in tiles (scores.h) and counted for a vector of samples at once (rank_counts.h).

#include "native/ops/excluded.h"
#include "native/ops/rank_counts.h"
#include "native/ops/scores.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kMostStripes = 32;

void check_rank(const Call& call) { check_ranks(call, call.output(0)); }

void find_rank(const Call& call) {
  const Tensor& user = call.input(kUser);
  const Tensor& target = call.input(kTarget);
  float* rank = call.output(0).f32();
  const int64_t samples = user.rows;
  const Excluded excluded = excluded_of(call, call.input(kExcluded), call.input(kExcludedOffsets));
  const Scorer scorer = scorer_of(call, user, call.input(kWeight), call.inputs[kBias]);
  const Stripes stripes = stripes_of(skipped_rows(call), call.input(kWeight).rows, kMostStripes);
  const StripeCounts all = stripe_counts(call, scorer, stripes.count, target);
  parallel_tiles(call, stripes.count, samples, [&](int64_t stripe, int64_t first, int64_t own) {
    RankCounts counts = all.of(stripe, first);
    counts.clear();
    alignas(64) float tile[kItemsPerTile * kSamplesPerTile];
    ExcludedCursor cursor;
    cursor.start(excluded, first, own, stripes.begin(stripe));
    for (int64_t i = stripes.begin(stripe); i < stripes.end(stripe); i += kItemsPerTile) {
      const int64_t items = stripes.end(stripe) - i < kItemsPerTile ? stripes.end(stripe) - i : kItemsPerTile;
      scorer.tile(i, items, first, own, tile, kSamplesPerTile);
      cursor.take_out(tile, i, items, own, target.i32() + first, -__builtin_inff());
      for (int64_t c = 0; c < own; c += kLanes) counts.add(tile, items, c);
    }
  });
  parallel_blocks(call, samples, kRanksPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) rank[s] = all.rank(s);
  });
}

const SlotType kOutputs[] = {float32("rank", 1), kNoSlot};

}  // namespace

extern const Op target_rank = {"target_rank", kRankInputs, kOutputs, check_rank, find_rank};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
