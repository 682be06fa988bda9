#pragma once

#include "native/ops/best_lists.h"
#include "native/ops/gemm.h"
#include "native/ops/row_lanes.h"

// Scores of rows of item vectors for all queries of a search, in float32. Scores have the same bits as those of a
// matrix product (gemm.h), so they do not depend on which of the loops below computes them:
// - Up to kFewQueries queries: the lanes of a vector hold kLanes items of one query (score_few).
// - More queries: a register tile of kTileRows items × vectors of queries (score_tiles). Its scores stay in registers
//   and are compared with the thresholds there; they are stored only if one of them reaches its threshold.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// Bytes of the rows that are multiplied by one panel of queries after the other, so that they stay in the L1 cache.
const int64_t kBytesPerBlock = int64_t{1} << 14;
// Up to so many queries, it takes less time to transpose the rows than to multiply a vector of queries.
const int64_t kFewQueries = kLanes / 2;
// Columns of which several rows are prefetched at once: multiply-adds go on meanwhile.
const int64_t kPrefetchedColumns = 32;
// The least width of rows that are prefetched for more queries.
const int64_t kLeastPrefetched = 64;

// What all chunks of a search share.
struct RowScan {
  const ItemVectors& vectors;
  const float* queries;  // [lists.queries, width]
  const float* panels;   // the same in panels [width, kTileColumns], padded with zeros; nullptr for few queries
  const BestLists& lists;
  int64_t rows_per_block;
  // [workers, rows_per_block · (width + 1)] Rows of a list, and their biases. nullptr if there are none.
  float* copies;
};

// Consecutive rows that are scored together.
struct RowBlock {
  const float* rows;
  int64_t stride;
  int64_t count;
  const float* bias;      // [count] or nullptr
  const int32_t* listed;  // the items [count]; nullptr: they are first_item, first_item + 1, …
  int64_t first_item;

  SHORTLIST_INLINE int32_t item(int64_t row) const {
    return listed ? listed[row] : static_cast<int32_t>(first_item + row);
  }
};

// Adds the items of the lanes that reach the threshold of a query.
SHORTLIST_INLINE void add_lanes(const RowBlock& block, int64_t row, uint32_t reached, vf score, int64_t query,
                                OwnLists& own) {
  float scores[kLanes];
  store(scores, score);
  for (; reached != 0; reached &= reached - 1) {
    const int lane = __builtin_ctz(reached);
    own.add(query, scores[lane], block.item(row + lane));
  }
}

template <int kQueries>
__attribute__((noinline)) void score_few(const RowScan& scan, const RowBlock& block, int64_t first_query,
                                         OwnLists& own) {
  const int64_t width = scan.vectors.width;
  const float* const queries = scan.queries + first_query * width;
  const int64_t ahead = rows_ahead(kLanes, block.stride) * block.stride;
  for (int64_t row = 0; row < block.count; row += kLanes) {
    const int64_t rows = block.count - row < kLanes ? block.count - row : kLanes;
    const float* const from = block.rows + row * block.stride;
    vf score[kQueries];
    if (rows == kLanes) {
      score_lanes<kQueries, true>(from, block.stride, rows, width, queries, width,
                                  block.listed ? nullptr : from + ahead, score);
    } else {
      score_lanes<kQueries, false>(from, block.stride, rows, width, queries, width, nullptr, score);
    }
    if (block.bias) {
      const vf bias = load_upto(block.bias + row, rows);
      for (int j = 0; j < kQueries; ++j) score[j] += bias;
    }
    const uint32_t present = rows == kLanes ? ~0u : (1u << rows) - 1;
    for (int j = 0; j < kQueries; ++j) {
      const uint32_t reached = lane_bits(score[j] >= splat(own.thresholds[first_query + j])) & present;
      if (reached != 0) add_lanes(block, row, reached, score[j], first_query + j, own);
    }
  }
}

// Scores of kRows rows × kVectors vectors of queries. Returns whether a score reaches its query's threshold; only then
// the scores are stored, to `to` [kRows, kVectors · kLanes]. Prefetches as many rows at `ahead` meanwhile, unless that
// is nullptr or the rows are deep.
//
// Not inlined, because GCC 12 would keep some of the sums in memory.
template <int kRows, int kVectors, bool kDeep>
__attribute__((noinline)) bool score_tile(int64_t width, const float* __restrict rows, int64_t stride,
                                          const float* ahead, const float* __restrict panel, const float* bias,
                                          const float* thresholds, float* to) {
  vf sum[kRows][kVectors];
  for_each_vector<kRows, kVectors>([&](int i, int j) __attribute__((always_inline)) { sum[i][j] = vf{}; });
  if (!kDeep) {
    int64_t p = 0;
    for (; ahead && p + kPrefetchedColumns <= width; p += kPrefetchedColumns) {
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        __builtin_prefetch(ahead + i * stride + p, 0, 2);
        __builtin_prefetch(ahead + i * stride + p + 16, 0, 2);
      }
      multiply_add<kRows, kVectors, kAlong>(kPrefetchedColumns, rows + p, stride, panel + p * kTileColumns,
                                            kTileColumns, sum);
    }
    if (p < width)
      multiply_add<kRows, kVectors, kAlong>(width - p, rows + p, stride, panel + p * kTileColumns, kTileColumns, sum);
  } else {
    const int64_t depth = depth_of(width);
    multiply_add<kRows, kVectors, kAlong>(depth, rows, stride, panel, kTileColumns, sum);
    for (int64_t p = depth; p < width; p += depth) {
      vf next[kRows][kVectors];
      for_each_vector<kRows, kVectors>([&](int i, int j) __attribute__((always_inline)) { next[i][j] = vf{}; });
      const int64_t steps = width - p < depth ? width - p : depth;
      multiply_add<kRows, kVectors, kAlong>(steps, rows + p, stride, panel + p * kTileColumns, kTileColumns, next);
      for_each_vector<kRows, kVectors>([&](int i, int j) __attribute__((always_inline)) { sum[i][j] += next[i][j]; });
    }
  }
  if (bias) {
    for_each_vector<kRows, kVectors>([&](int i, int j) __attribute__((always_inline)) { sum[i][j] += bias[i]; });
  }
  vi reached = vi{};
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) {
    vf best = splat(-__builtin_inff());  // larger() skips NaN in its first argument
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) best = larger(sum[i][j], best);
    reached |= best >= load(thresholds + j * kLanes);
  }
  if (lane_bits(reached) == 0) return false;
  for_each_vector<kRows, kVectors>([&](int i, int j) __attribute__((always_inline)) {
    store(to + (i * kVectors + j) * kLanes, sum[i][j]);
  });
  return true;
}

// Adds the items of a stored tile that reach the thresholds.
SHORTLIST_INLINE void add_tile(const RowBlock& block, int64_t row, int64_t rows, const float* scores, int64_t columns,
                               int64_t first_query, OwnLists& own) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t c = 0; c < columns; c += kLanes) {
      const vf score = load(scores + i * columns + c);
      uint32_t reached = lane_bits(score >= load(own.thresholds + first_query + c));
      for (; reached != 0; reached &= reached - 1) {
        const int64_t column = c + __builtin_ctz(reached);
        own.add(first_query + column, scores[i * columns + column], block.item(row + i));
      }
    }
  }
}

template <int kVectors, bool kDeep>
SHORTLIST_INLINE void score_panel(const RowScan& scan, const RowBlock& block, int64_t first_query, OwnLists& own) {
  const int64_t width = scan.vectors.width;
  const float* const panel = scan.panels + first_query * width;
  alignas(64) float scores[kTileRows * kVectors * kLanes];
  // Neighbouring short rows are one stream of memory, which the processor prefetches itself.
  const bool prefetch = first_query == 0 && !block.listed && width >= kLeastPrefetched;
  const int64_t ahead = rows_ahead(kTileRows, block.stride) * block.stride;
  for (int64_t row = 0; row < block.count;) {
    const float* const from = block.rows + row * block.stride;
    const float* const bias = block.bias ? block.bias + row : nullptr;
    const float* const thresholds = own.thresholds + first_query;
    const bool whole = block.count - row >= kTileRows;
    const float* const later = prefetch ? from + ahead : nullptr;
    const bool reached =
        whole
            ? score_tile<kTileRows, kVectors, kDeep>(width, from, block.stride, later, panel, bias, thresholds, scores)
            : score_tile<1, kVectors, kDeep>(width, from, block.stride, nullptr, panel, bias, thresholds, scores);
    const int64_t rows = whole ? kTileRows : 1;
    if (reached) add_tile(block, row, rows, scores, kVectors * kLanes, first_query, own);
    row += rows;
  }
}

template <bool kDeep>
SHORTLIST_INLINE void score_tiles(const RowScan& scan, const RowBlock& block, OwnLists& own) {
  for (int64_t query = 0; query < scan.lists.queries; query += kTileColumns) {
    if (scan.lists.queries - query > kLanes) {
      score_panel<kTileVectors, kDeep>(scan, block, query, own);
    } else {
      score_panel<1, kDeep>(scan, block, query, own);
    }
  }
}

// Scores a block for queries [first_query, first_query + queries): all, or one of them.
void score_block(const RowScan& scan, const RowBlock& block, int64_t first_query, int64_t queries, OwnLists& own) {
  typedef void (*Few)(const RowScan&, const RowBlock&, int64_t, OwnLists&);
  static const Few few[] = {score_few<1>, score_few<2>, score_few<3>, score_few<4>,
                            score_few<5>, score_few<6>, score_few<7>, score_few<8>};
  if (queries <= kFewQueries) return few[queries - 1](scan, block, first_query, own);
  if (scan.vectors.width > kDepth) return score_tiles<true>(scan, block, own);
  score_tiles<false>(scan, block, own);
}

// Copies listed rows, so that they are consecutive. The rows of the next block are prefetched.
SHORTLIST_INLINE RowBlock copy_rows(const RowScan& scan, const int32_t* items, int64_t count, int64_t next,
                                    float* copy) {
  const ItemVectors& vectors = scan.vectors;
  float* const bias = copy + scan.rows_per_block * vectors.width;
  for (int64_t i = count; i < count + next; ++i) {
    prefetch_row(vectors.weight + items[i] * vectors.stride, vectors.width);
  }
  for (int64_t i = 0; i < count; ++i) {
    const float* const from = vectors.weight + items[i] * vectors.stride;
    float* const to = copy + i * vectors.width;
    for_each_vector_in(
        vectors.width, [&](int64_t c, int64_t left)
                           __attribute__((always_inline)) { store_upto(to + c, load_upto(from + c, left), left); });
    if (vectors.bias) bias[i] = vectors.bias[items[i]];
  }
  return {copy, vectors.width, count, vectors.bias ? bias : nullptr, items, 0};
}

// Scans items [begin, end), or those of a list, for queries [first_query, first_query + queries).
void scan_rows(const RowScan& scan, const int32_t* listed, int64_t begin, int64_t end, int64_t first_query,
               int64_t queries) {
  OwnLists own(scan.lists);
  for (int64_t q = first_query; q < first_query + queries; ++q) own.refresh(q);
  const ItemVectors& vectors = scan.vectors;
  float* const copy = scan.copies + (scan.copies ? own.worker * scan.rows_per_block * (vectors.width + 1) : 0);
  for (int64_t row = begin; row < end; row += scan.rows_per_block) {
    const int64_t count = end - row < scan.rows_per_block ? end - row : scan.rows_per_block;
    const int64_t next = end - row - count < scan.rows_per_block ? end - row - count : scan.rows_per_block;
    const RowBlock block = listed ? copy_rows(scan, listed + row, count, next, copy)
                                  : RowBlock{vectors.weight + row * vectors.stride,       vectors.stride, count,
                                             vectors.bias ? vectors.bias + row : nullptr, nullptr,        row};
    score_block(scan, block, first_query, queries, own);
  }
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
