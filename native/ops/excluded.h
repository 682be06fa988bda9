#pragma once

#include "native/ops/best_keys.h"
#include "native/ops/scores.h"

// The items that each sample excludes, for top_n, target_rank and top_n_and_rank. They are sorted, so that a cursor can
// overwrite their scores in one tile after the other. (Looking up each candidate instead made top_n a third slower.)

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kListsPerChunk = 16;  // lists of excluded items that are sorted

struct Excluded {
  const int32_t* items;  // rising within each sample
  const int32_t* offsets;
};

SHORTLIST_INLINE Excluded excluded_of(const Call& call, const Tensor& excluded, const Tensor& offsets) {
  int32_t* items = int_scratch(call, excluded.rows);
  const int32_t* offset = offsets.i32();
  parallel_blocks(call, offsets.rows - 1, kListsPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t i = offset[begin]; i < offset[end]; ++i) items[i] = excluded.i32()[i];
    for (int64_t s = begin; s < end; ++s) sort_keys(items + offset[s], offset[s + 1] - offset[s]);
  });
  return {items, offset};
}

// The next excluded items of the samples of a tile, as the tiles pass in rising order of items.
struct ExcludedCursor {
  const int32_t* items;
  int64_t next[kSamplesPerTile];
  int64_t end[kSamplesPerTile];

  SHORTLIST_INLINE void start(const Excluded& excluded, int64_t first_sample, int64_t samples, int64_t first_item) {
    items = excluded.items;
    for (int64_t c = 0; c < samples; ++c) {
      end[c] = excluded.offsets[first_sample + c + 1];
      int64_t low = excluded.offsets[first_sample + c], high = end[c];
      while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (items[middle] < first_item) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      next[c] = low;
    }
  }

  // Overwrites the scores of excluded items in a tile with `score`, which the op never counts. An item that equals the
  // sample's `kept` item keeps its score; `kept` may be nullptr.
  SHORTLIST_INLINE void take_out(float* tile, int64_t first_item, int64_t tile_items, int64_t samples,
                                 const int32_t* kept, float score) {
    for (int64_t c = 0; c < samples; ++c) {
      take_out_of(c, tile + c, kSamplesPerTile, first_item, tile_items, kept, score);
    }
  }

  // The same for the scores of sample c, where those of neighbouring items are `between` elements apart.
  SHORTLIST_INLINE void take_out_of(int64_t c, float* scores, int64_t between, int64_t first_item, int64_t count,
                                    const int32_t* kept, float score) {
    each(c, first_item, count, [&](int32_t item) {
      if (!kept || kept[c] != item) scores[(item - first_item) * between] = score;
    });
  }

  // Calls body(item) for each excluded item of sample c among the next items. An item may occur repeatedly.
  template <class Body>
  SHORTLIST_INLINE void each(int64_t c, int64_t first_item, int64_t count, const Body& body) {
    for (; next[c] < end[c] && items[next[c]] < first_item + count; ++next[c]) body(items[next[c]]);
  }
};

SHORTLIST_INLINE void check_excluded(const Call& call, const Tensor& excluded, const Tensor& offsets, int64_t samples,
                                     int64_t items) {
  expect(call, is_shape(offsets, samples + 1, 1), "excluded_offsets [samples + 1]");
  check_ids(call, excluded, items);
  check_offsets(call, offsets, excluded.rows);
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
