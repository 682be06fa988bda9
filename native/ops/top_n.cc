// The items with the highest scores w·u + b for each sample, exactly. They are sorted by falling score, and equal
// scores by rising id. Excluded items of the sample, rows before skip_rows and NaN scores are left out. Missing items
// are −1 with score −∞. log_partition[s] = log Σ exp(score) over all rows from skip_rows on. Outputs are overwritten.
// Nothing aliases.
//
// Scores are computed in tiles of [items, samples] (scores.h). Each sample has a list of the items that exceeded its
// threshold. When the list is full, it is reduced to the best `top` items, and the threshold rises to the last of them.
// A whole vector of samples, or of items of few samples, is compared with its thresholds at once, and almost always
// none is exceeded. (A heap instead of the list took three times as long: 48 against 15 ms for 16 samples, 200,000
// items and top 200.)
//
// Blocks of samples are computed in parallel; if there are few blocks, the items are divided into stripes as well. The
// order of candidates is total, so the selection does not depend on the stripes. log_partition is summed in parts of so
// many items that depend on nothing else, so that its bits are those of the sample alone: the same for any `top`, and
// beside any other samples.

#include <string.h>

#include "native/ops/best_keys.h"
#include "native/ops/excluded.h"
#include "native/ops/scores.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kWantedChunks = 32;
// A stripe consists of whole parts. It has at least kItemsPerTop items for each of `top`, because it starts without a
// threshold.
const int64_t kItemsPerPart = 16 * kItemsPerTile;
const int64_t kItemsPerTop = 64;
const int64_t kMergesPerChunk = 4;  // samples whose stripes are merged

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

// The lists of the samples of a tile.
struct Selection {
  uint64_t* keys;  // [samples of the tile, capacity]
  int64_t top;
  int64_t capacity;
  int64_t size[kSamplesPerTile];
  // A score enters the list unless it is ≤ the threshold. The threshold is NaN, so that all scores enter, until the
  // list was full for the first time. It is +∞ for columns without a sample.
  float threshold[kSamplesPerTile];

  SHORTLIST_INLINE void start(int64_t samples) {
    for (int64_t c = 0; c < kSamplesPerTile; ++c) {
      size[c] = 0;
      threshold[c] = c < samples && top > 0 ? __builtin_nanf("") : __builtin_inff();
    }
  }

  // Reduces the list to the best `top` items and sets the threshold, if there are as many.
  void prune(int64_t column) {
    if (size[column] < top) return;
    uint64_t* own = keys + column * capacity;
    select_best(own, size[column], top);
    size[column] = top;
    threshold[column] = score_of(own[top - 1]);
  }

  SHORTLIST_INLINE void add_tile(const float* tile, int64_t first_item, int64_t items, int64_t samples) {
    for (int64_t i = 0; i < items; ++i) {
      const float* row = tile + i * kSamplesPerTile;
      for (int64_t c = 0; c < samples; c += kLanes) {
        const vf score = load(row + c);
        const vi beaten = ~(score <= load(threshold + c)) & (score == score);
        // Iterates over set bits: a branch for each lane would be mispredicted at the start of a stripe, where many
        // scores enter.
        for (uint32_t bits = lane_bits(beaten); bits != 0; bits &= bits - 1) {
          const int64_t lane = c + __builtin_ctz(bits);
          add(lane, row[lane], first_item + i);
        }
      }
    }
  }

  // Adds scores of the sample of a column that follow each other, up to a whole vector.
  SHORTLIST_INLINE void add_row(int64_t column, const float* scores, int64_t first_item, int64_t items) {
    for (int64_t i = 0; i < items; i += kLanes) {
      const vf score = load(scores + i);
      const uint32_t present = items - i < kLanes ? (1u << (items - i)) - 1 : ~0u;
      uint32_t bits = lane_bits(~(score <= splat(threshold[column])) & (score == score)) & present;
      for (; bits != 0; bits &= bits - 1) {
        const int64_t item = i + __builtin_ctz(bits);
        add(column, scores[item], first_item + item);
      }
    }
  }

 private:
  SHORTLIST_INLINE void add(int64_t column, float score, int64_t item) {
    keys[column * capacity + size[column]] = key_of(score, static_cast<int32_t>(item));
    if (++size[column] == capacity) prune(column);
  }
};

// The results of each stripe and part for each sample, and the memory for the lists.
struct Parts {
  Stripes stripes;
  int64_t count;
  int64_t top;
  int64_t padded;    // samples, rounded up to whole tiles
  int64_t capacity;  // of a list
  float* most;       // [parts, padded] and sum: Partition
  float* sum;
  int32_t* sizes;   // [stripes, padded] keys in `best`
  uint64_t* best;   // [stripes, padded, top]
  uint64_t* lists;  // [stripes, padded, capacity]
};

Parts parts_of(const Call& call, int64_t blocks, int64_t top) {
  const int64_t rows = call.input(kWeight).rows;
  const int64_t wanted = (kWantedChunks + blocks - 1) / blocks;
  const int64_t fewest = kItemsPerTop * top < kItemsPerPart ? kItemsPerPart : kItemsPerTop * top;
  const int64_t possible = rows / fewest + 1;
  Parts parts;
  parts.stripes = stripes_of(skipped_rows(call), rows, wanted < possible ? wanted : possible);
  const int64_t items = rows - parts.stripes.first;
  parts.stripes.items_per_stripe = round_up(parts.stripes.items_per_stripe, kItemsPerPart);
  parts.stripes.count = (items + parts.stripes.items_per_stripe - 1) / parts.stripes.items_per_stripe;
  parts.count = (items + kItemsPerPart - 1) / kItemsPerPart;
  parts.top = top;
  parts.padded = blocks * kSamplesPerTile;
  parts.capacity = 2 * top + kItemsPerTile;
  const int64_t count = parts.stripes.count * parts.padded;
  parts.most = float_scratch(call, parts.count * parts.padded);
  parts.sum = float_scratch(call, parts.count * parts.padded);
  parts.sizes = int_scratch(call, count);
  parts.best = static_cast<uint64_t*>(scratch(call, 2 * count * top));
  parts.lists = static_cast<uint64_t*>(scratch(call, 2 * count * parts.capacity));
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
void select_in_stripe(const Parts& parts, const Scorer& scorer, const Excluded& excluded, int64_t stripe, int64_t first,
                      int64_t samples) {
  const int64_t begin = parts.stripes.begin(stripe), end = parts.stripes.end(stripe), top = parts.top;
  const int64_t place = stripe * parts.padded + first;
  Scan scan = {scorer, first, samples, {}, {}, {}};
  Selection& selection = scan.selection;
  selection.keys = parts.lists + place * parts.capacity;
  selection.top = top;
  selection.capacity = parts.capacity;
  selection.start(samples);
  scan.cursor.start(excluded, first, samples, begin);
  for (int64_t i = begin; i < end; i += kItemsPerPart) {
    const int64_t stop = end - i < kItemsPerPart ? end : i + kItemsPerPart;
    scan.partition.clear();
    if (samples <= kFewSamples) {
      scan.add_rows(i, stop);
    } else {
      scan.add_tiles(i, stop);
    }
    const int64_t part = (i - parts.stripes.first) / kItemsPerPart * parts.padded + first;
    for (int64_t c = 0; c < samples; ++c) {
      parts.most[part + c] = scan.partition.most[c];
      parts.sum[part + c] = scan.partition.sum[c];
    }
  }
  for (int64_t c = 0; c < samples; ++c) {
    if (top > 0) selection.prune(c);
    parts.sizes[place + c] = static_cast<int32_t>(selection.size[c]);
    memcpy(parts.best + (place + c) * top, selection.keys + c * parts.capacity,
           sizeof(uint64_t) * static_cast<size_t>(selection.size[c]));
  }
}

// Selects and sorts the best items of a sample from those of all stripes. `keys` is memory for them.
void merge_stripes(const Parts& parts, int64_t sample, uint64_t* keys, int32_t* items, float* score) {
  const int64_t top = parts.top;
  int64_t size = 0;
  for (int64_t stripe = 0; stripe < parts.stripes.count; ++stripe) {
    const int64_t place = stripe * parts.padded + sample;
    for (int32_t i = 0; i < parts.sizes[place]; ++i) keys[size++] = parts.best[place * top + i];
  }
  write_best(keys, size, top, top, items, score);
}

void find_top(const Call& call) {
  const Tensor& user = call.input(kUser);
  const Tensor& items = call.output(kItems);
  const Tensor& score = call.output(kScore);
  float* log_partition = call.output(kLogPartition).f32();
  const int64_t samples = user.rows, top = items.columns;
  const Excluded excluded = excluded_of(call, call.input(kExcluded), call.input(kExcludedOffsets));
  const Scorer scorer = scorer_of(call, user, call.input(kWeight), call.inputs[kBias]);
  if (samples == 0) return;
  const int64_t blocks = (samples + kSamplesPerTile - 1) / kSamplesPerTile;
  const Parts parts = parts_of(call, blocks, top);
  parallel(call, parts.stripes.count * blocks, [&](int64_t chunk) {
    const int64_t first = chunk % blocks * kSamplesPerTile;
    const int64_t own = samples - first < kSamplesPerTile ? samples - first : kSamplesPerTile;
    select_in_stripe(parts, scorer, excluded, chunk / blocks, first, own);
  });
  parallel_blocks(call, samples, kMergesPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      log_partition[s] = log_partition_of(parts.most + s, parts.sum + s, parts.count, parts.padded);
      uint64_t* const keys = parts.lists + s * parts.stripes.count * top;  // the lists are no longer needed
      merge_stripes(parts, s, keys, items.i32() + s * items.stride, score.row(s));
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
