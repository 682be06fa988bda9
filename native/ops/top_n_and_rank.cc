// The results of top_n and target_rank with one scan of the items, for evaluation: items and score are those of top_n,
// and rank is that of target_rank, bit for bit. highest[s] is the highest score over all rows from skip_rows on,
// excluded ones included: NaN if one of them is NaN, and −∞ without rows. Outputs are overwritten. Nothing aliases.
//
// Instead of top_n's log_partition, which takes an exponential for each score, there is `highest`, which is finite
// where log_partition is.
//
// Each tile of scores is read three times, a vector of samples at a time, whose scores stay in the L1 cache: for the
// rank and the highest score, which count excluded items as well, and, when the excluded items were taken back from the
// counts and out of the tile, for the selection.

#include "native/ops/excluded.h"
#include "native/ops/rank_counts.h"
#include "native/ops/scores.h"
#include "native/ops/selection.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum Output { kItems, kScore, kRank, kHighest };

void check_top_and_rank(const Call& call) {
  const Tensor& user = call.input(kUser);
  check_ranks(call, call.output(kRank));
  expect(call, call.output(kItems).rows == user.rows, "items [samples, top]");
  expect(call, same_shape(call.output(kItems), call.output(kScore)), "score of items' shape");
  expect(call, is_shape(call.output(kHighest), user.rows, 1), "highest [samples]");
  promise(call.output(kItems), -1, call.input(kWeight).rows - 1);
}

// Raises the highest scores of the vector of columns from c on. NaN stays.
SHORTLIST_INLINE void raise_highest(const float* tile, int64_t items, int64_t c, float* highest) {
  vf best = load(highest + c), broken = best;  // separate, so that a step of the loop waits for one instruction alone
  for (int64_t r = 0; r < items; ++r) {
    const vf score = load(tile + r * kSamplesPerTile + c);
    best = larger(score, best);
    broken = score == score ? broken : score;
  }
  store(highest + c, broken == broken ? best : broken);
}

// What the scores of some samples, a tile, are added to.
struct Scan {
  const Scorer& scorer;
  const int32_t* target;
  int64_t first;  // sample
  int64_t samples;
  RankCounts counts;
  float* highest;
  ExcludedCursor cursor;
  Selection selection;

  SHORTLIST_INLINE void add(int64_t first_item, int64_t items) {
    alignas(64) float tile[kItemsPerTile * kSamplesPerTile];
    scorer.tile(first_item, items, first, samples, tile, kSamplesPerTile);
    for (int64_t c = 0; c < samples; c += kLanes) {
      counts.add(tile, items, c);
      raise_highest(tile, items, c, highest);
      for (int64_t lane = c; lane < c + kLanes && lane < samples; ++lane) take_out(tile, first_item, items, lane);
      for (int64_t r = 0; r < items; ++r) selection.add_vector(tile + r * kSamplesPerTile, first_item + r, c);
    }
  }

 private:
  // Takes the excluded items of sample c back from the counts, except the target, and out of the tile.
  SHORTLIST_INLINE void take_out(float* tile, int64_t first_item, int64_t items, int64_t c) {
    int32_t before = -1;
    cursor.each(c, first_item, items, [&](int32_t item) {
      float& score = tile[(item - first_item) * kSamplesPerTile + c];
      if (item != before && item != target[c]) counts.remove(score, c);
      score = __builtin_nanf("");
      before = item;
    });
  }
};

void find_top_and_rank(const Call& call) {
  const Tensor& user = call.input(kUser);
  const Tensor& weight = call.input(kWeight);
  const Tensor& items = call.output(kItems);
  const Tensor& score = call.output(kScore);
  float* rank = call.output(kRank).f32();
  float* highest = call.output(kHighest).f32();
  const int64_t samples = user.rows;
  const Excluded excluded = excluded_of(call, call.input(kExcluded), call.input(kExcludedOffsets));
  const Scorer scorer = scorer_of(call, user, weight, call.inputs[kBias]);
  if (samples == 0) return;
  const StripeLists lists = stripe_lists(call, weight.rows, samples, items.columns);
  const Stripes& stripes = lists.stripes;
  const StripeCounts counts = stripe_counts(call, scorer, stripes.count, call.input(kTarget));
  float* const highest_of = float_scratch(call, stripes.count * lists.padded);  // [stripes, padded]
  parallel_tiles(call, stripes.count, samples, [&](int64_t stripe, int64_t first, int64_t own) {
    float* const best = highest_of + stripe * lists.padded + first;
    Scan scan = {scorer, counts.target + first, first, own, counts.of(stripe, first), best, {}, {}};
    scan.counts.clear();
    for (int64_t c = 0; c < kSamplesPerTile; ++c) best[c] = -__builtin_inff();
    scan.cursor.start(excluded, first, own, stripes.begin(stripe));
    lists.start(scan.selection, stripe, first, own);
    for (int64_t i = stripes.begin(stripe); i < stripes.end(stripe); i += kItemsPerTile) {
      scan.add(i, stripes.end(stripe) - i < kItemsPerTile ? stripes.end(stripe) - i : kItemsPerTile);
    }
    lists.finish(scan.selection, stripe, first, own);
  });
  parallel_blocks(call, samples, kMergesPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      rank[s] = counts.rank(s);
      float best = -__builtin_inff();
      for (int64_t stripe = 0; stripe < stripes.count; ++stripe) {
        const float other = highest_of[stripe * lists.padded + s];
        if (other > best || other != other) best = other;
      }
      highest[s] = best;
      lists.merge(s, items.i32() + s * items.stride, score.row(s));
    }
  });
}

const SlotType kOutputs[] = {int32("items", 2), float32("score", 2), float32("rank", 1), float32("highest", 1),
                             kNoSlot};

}  // namespace

extern const Op top_n_and_rank = {"top_n_and_rank", kRankInputs, kOutputs, check_top_and_rank, find_top_and_rank};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
