// The items with the highest scores w·u + b for each sample, exactly. They are sorted by falling score, and equal
// scores by rising id. Excluded items of the sample, rows before skip_rows and NaN scores are left out. Missing items
// are −1 with score −∞. log_partition[s] = log Σ exp(score) over all rows from skip_rows on. Outputs are overwritten.
// Nothing aliases.
//
// Scores are computed in tiles of [items, samples] (scores.h), from which the best are selected (selection.h).
// log_partition is summed in parts of so many items that depend on nothing else, so that its bits are those of the
// sample alone: the same for any `top`, and beside any other samples.

#include "native/ops/excluded.h"
#include "native/ops/scores.h"
#include "native/ops/selection.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum Input { kUser, kWeight, kBias, kExcluded, kExcludedOffsets };
enum Output { kItems, kScore, kLogPartition };

void check_top(const Call& call) {
  const Tensor& user = call.input(kUser);
  const Tensor& weight = call.input(kWeight);
  check_scores(call, user, weight, call.inputs[kBias]);
  expect(call, call.output(kItems).rows == user.rows, "items [samples, top]");
  expect(call, same_shape(call.output(kItems), call.output(kScore)), "score of items' shape");
  expect(call, is_shape(call.output(kLogPartition), user.rows, 1), "log_partition [samples]");
  check_excluded(call, call.input(kExcluded), call.input(kExcludedOffsets), user.rows, weight.rows);
  promise(call.output(kItems), -1, weight.rows - 1);
}

// The partition of each part of the items for each sample.
struct Parts {
  int64_t count;
  int64_t padded;  // samples, rounded up to whole tiles
  float* most;     // [parts, padded] and sum: Partition
  float* sum;
};

Parts parts_of(const Call& call, const StripeLists& lists) {
  const int64_t items = lists.stripes.items - lists.stripes.first;
  Parts parts;
  parts.count = (items + kItemsPerPart - 1) / kItemsPerPart;
  parts.padded = lists.padded;
  parts.most = float_scratch(call, parts.count * parts.padded);
  parts.sum = float_scratch(call, parts.count * parts.padded);
  return parts;
}

// What the scores of some samples, a tile, are added to, one part of the items after the other.
struct Scan {
  const Scorer& scorer;
  int64_t first;  // sample
  int64_t samples;
  Partition partition;
  ExcludedCursor cursor;
  Selection selection;

  SHORTLIST_INLINE void add_tiles(int64_t begin, int64_t end) {
    alignas(64) float tile[kItemsPerTile * kSamplesPerTile];
    for (int64_t i = begin; i < end; i += kItemsPerTile) {
      const int64_t count = end - i < kItemsPerTile ? end - i : kItemsPerTile;
      scorer.tile(i, count, first, samples, tile, kSamplesPerTile);
      partition.add(tile, kSamplesPerTile, count, samples);
      cursor.take_out(tile, i, count, samples, nullptr, __builtin_nanf(""));
      selection.add_tile(tile, i, count, samples);
    }
  }

  // The same for up to kFewSamples samples.
  SHORTLIST_INLINE void add_rows(int64_t begin, int64_t end) {
    alignas(64) float rows[kFewSamples * kItemsPerPart];
    const int64_t items = end - begin;
    scorer.rows(begin, items, first, samples, rows, kItemsPerPart);
    for (int64_t c = 0; c < samples; ++c) {
      float* const row = rows + c * kItemsPerPart;
      for (int64_t i = 0; i < items; i += kItemsPerTile) {
        partition.add_row(c, row + i, items - i < kItemsPerTile ? items - i : kItemsPerTile);
      }
      cursor.take_out_of(c, row, 1, begin, items, nullptr, __builtin_nanf(""));
      selection.add_row(c, row, begin, items);
    }
  }
};

// Selects the best items of a stripe for `samples` samples from `first` on, a tile.
void select_in_stripe(const StripeLists& lists, const Parts& parts, const Scorer& scorer, const Excluded& excluded,
                      int64_t stripe, int64_t first, int64_t samples) {
  const int64_t begin = lists.stripes.begin(stripe), end = lists.stripes.end(stripe);
  Scan scan = {scorer, first, samples, {}, {}, {}};
  lists.start(scan.selection, stripe, first, samples);
  scan.cursor.start(excluded, first, samples, begin);
  for (int64_t i = begin; i < end; i += kItemsPerPart) {
    const int64_t stop = end - i < kItemsPerPart ? end : i + kItemsPerPart;
    scan.partition.clear();
    if (samples <= kFewSamples) {
      scan.add_rows(i, stop);
    } else {
      scan.add_tiles(i, stop);
    }
    const int64_t part = (i - lists.stripes.first) / kItemsPerPart * parts.padded + first;
    for (int64_t c = 0; c < samples; ++c) {
      parts.most[part + c] = scan.partition.most[c];
      parts.sum[part + c] = scan.partition.sum[c];
    }
  }
  lists.finish(scan.selection, stripe, first, samples);
}

void find_top(const Call& call) {
  const Tensor& user = call.input(kUser);
  const Tensor& weight = call.input(kWeight);
  const Tensor& items = call.output(kItems);
  const Tensor& score = call.output(kScore);
  float* log_partition = call.output(kLogPartition).f32();
  const int64_t samples = user.rows;
  const Excluded excluded = excluded_of(call, call.input(kExcluded), call.input(kExcludedOffsets));
  const Scorer scorer = scorer_of(call, user, weight, call.inputs[kBias]);
  if (samples == 0) return;
  const StripeLists lists = stripe_lists(call, weight.rows, samples, items.columns);
  const Parts parts = parts_of(call, lists);
  parallel_tiles(call, lists.stripes.count, samples, [&](int64_t stripe, int64_t first, int64_t own) {
    select_in_stripe(lists, parts, scorer, excluded, stripe, first, own);
  });
  parallel_blocks(call, samples, kMergesPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      log_partition[s] = log_partition_of(parts.most + s, parts.sum + s, parts.count, parts.padded);
      lists.merge(s, items.i32() + s * items.stride, score.row(s));
    }
  });
}

const SlotType kInputs[] = {float32("user", 2),   float32("weight", 2),         optional(float32("bias", 1)),
                            int32("excluded", 1), int32("excluded_offsets", 1), kNoSlot};
const SlotType kOutputs[] = {int32("items", 2), float32("score", 2), float32("log_partition", 1), kNoSlot};

}  // namespace

extern const Op top_n = {"top_n", kInputs, kOutputs, check_top, find_top};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
