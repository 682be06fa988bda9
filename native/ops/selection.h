#pragma once

#include <string.h>

#include "native/ops/best_keys.h"
#include "native/ops/scores.h"

// The best items of each sample, for ops that scan the items in tiles of [items, samples] (top_n, top_n_and_rank).
//
// Each sample has a list of the items that exceeded its threshold. When the list is full, it is reduced to the best
// `top` items, and the threshold rises to the last of them. A whole vector of samples, or of items of few samples, is
// compared with its thresholds at once, and almost always none is exceeded. (A heap instead of the list took three
// times as long: 48 against 15 ms for 16 samples, 200,000 items and top 200.)
//
// Blocks of samples are computed in parallel; if there are few blocks, the items are divided into stripes as well. A
// stripe begins with the thresholds that the stripes before reached, since lists without a threshold take every score:
// this saves a sixth of the time of top_n (256 samples, 290,000 items, width 128 and top 200, two threads). Which
// stripes those are depends on the threads, but the selection does not, because the order of candidates is total and no
// stripe leaves out one of the best.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kWantedChunks = 32;
// A stripe consists of whole parts. It has at least kItemsPerTop items for each of `top`, because it may start without
// a threshold.
const int64_t kItemsPerPart = 16 * kItemsPerTile;
const int64_t kItemsPerTop = 64;
const int64_t kMergesPerChunk = 4;  // samples whose stripes are merged

// The lists of the samples of a tile.
struct Selection {
  uint64_t* keys;  // [samples of the tile, capacity]
  int64_t top;
  int64_t capacity;
  int64_t size[kSamplesPerTile];
  // A score enters the list unless it is ≤ the threshold. The threshold is NaN, so that all scores enter, until there
  // is a bound or the list was full for the first time. It is +∞ for columns without a sample.
  float threshold[kSamplesPerTile];

  // Scores below bounds[c] are not among the best of sample c; −∞ if there is no bound.
  SHORTLIST_INLINE void start(int64_t samples, const float* bounds) {
    for (int64_t c = 0; c < kSamplesPerTile; ++c) {
      size[c] = 0;
      threshold[c] = c < samples && top > 0 ? below(bounds + c) : __builtin_inff();
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

  // Adds the scores of a tile.
  SHORTLIST_INLINE void add_tile(const float* tile, int64_t first_item, int64_t items, int64_t samples) {
    for (int64_t i = 0; i < items; ++i) {
      for (int64_t c = 0; c < samples; c += kLanes) add_vector(tile + i * kSamplesPerTile, first_item + i, c);
    }
  }

  // Adds the scores of an item, a row of a tile, in the vector of columns from c on.
  SHORTLIST_INLINE void add_vector(const float* row, int64_t item, int64_t c) {
    const vf score = load(row + c);
    const vi beaten = ~(score <= load(threshold + c)) & (score == score);
    // Iterates over set bits: a branch for each lane would be mispredicted at the start of a stripe, where many scores
    // enter.
    for (uint32_t bits = lane_bits(beaten); bits != 0; bits &= bits - 1) {
      const int64_t lane = c + __builtin_ctz(bits);
      add(lane, row[lane], item);
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
  // A threshold just below a bound, so that scores that are equal to the bound enter: their items may have lower ids.
  static SHORTLIST_INLINE float below(const float* bound) {
    float seen;
    __atomic_load(bound, &seen, __ATOMIC_RELAXED);
    if (seen == -__builtin_inff()) return __builtin_nanf("");
    return seen - (seen < 0 ? -seen : seen) * 0x1p-20f - 1e-30f;
  }

  SHORTLIST_INLINE void add(int64_t column, float score, int64_t item) {
    keys[column * capacity + size[column]] = key_of(score, static_cast<int32_t>(item));
    if (++size[column] == capacity) prune(column);
  }
};

// The lists of all samples in each stripe of the items.
struct StripeLists {
  Stripes stripes;
  int64_t top;
  int64_t padded;    // samples, rounded up to whole tiles
  int64_t capacity;  // of a list
  int32_t* sizes;    // [stripes, padded] keys in `best`
  uint64_t* best;    // [stripes, padded, top]
  uint64_t* lists;   // [stripes, padded, capacity]
  float* bounds;     // [padded] the highest threshold that a finished stripe reached; −∞ at first

  // Starts the lists of `samples` samples from `first` on, a tile, in a stripe.
  SHORTLIST_INLINE void start(Selection& selection, int64_t stripe, int64_t first, int64_t samples) const {
    selection.keys = lists + (stripe * padded + first) * capacity;
    selection.top = top;
    selection.capacity = capacity;
    selection.start(samples, bounds + first);
  }

  // Keeps the best items of the lists.
  SHORTLIST_INLINE void finish(Selection& selection, int64_t stripe, int64_t first, int64_t samples) const {
    const int64_t place = stripe * padded + first;
    for (int64_t c = 0; c < samples; ++c) {
      if (top > 0) {
        selection.prune(c);
        raise_shared(bounds + first + c, selection.threshold[c]);
      }
      sizes[place + c] = static_cast<int32_t>(selection.size[c]);
      memcpy(best + (place + c) * top, selection.keys + c * capacity,
             sizeof(uint64_t) * static_cast<size_t>(selection.size[c]));
    }
  }

  // Selects and sorts the best items of a sample from those of all stripes, when all lists are finished.
  SHORTLIST_INLINE void merge(int64_t sample, int32_t* items, float* score) const {
    uint64_t* const keys = lists + sample * stripes.count * top;  // the lists are no longer needed
    int64_t size = 0;
    for (int64_t stripe = 0; stripe < stripes.count; ++stripe) {
      const int64_t place = stripe * padded + sample;
      for (int32_t i = 0; i < sizes[place]; ++i) keys[size++] = best[place * top + i];
    }
    write_best(keys, size, top, top, items, score);
  }
};

// The lists for at least one sample. The stripes depend on the operands' sizes alone.
SHORTLIST_INLINE StripeLists stripe_lists(const Call& call, int64_t rows, int64_t samples, int64_t top) {
  const int64_t blocks = sample_tiles(samples);
  const int64_t wanted = (kWantedChunks + blocks - 1) / blocks;
  const int64_t fewest = kItemsPerTop * top < kItemsPerPart ? kItemsPerPart : kItemsPerTop * top;
  const int64_t possible = rows / fewest + 1;
  StripeLists lists;
  lists.stripes = stripes_of(skipped_rows(call), rows, wanted < possible ? wanted : possible);
  const int64_t items = rows - lists.stripes.first;
  lists.stripes.items_per_stripe = round_up(lists.stripes.items_per_stripe, kItemsPerPart);
  lists.stripes.count = (items + lists.stripes.items_per_stripe - 1) / lists.stripes.items_per_stripe;
  lists.top = top;
  lists.padded = blocks * kSamplesPerTile;
  lists.capacity = 2 * top + kItemsPerTile;
  const int64_t count = lists.stripes.count * lists.padded;
  lists.sizes = int_scratch(call, count);
  lists.best = static_cast<uint64_t*>(scratch(call, 2 * count * top));
  lists.lists = static_cast<uint64_t*>(scratch(call, 2 * count * lists.capacity));
  lists.bounds = float_scratch(call, lists.padded);
  for (int64_t s = 0; s < lists.padded; ++s) lists.bounds[s] = -__builtin_inff();
  return lists;
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
