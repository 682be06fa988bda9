#pragma once

#include "native/ops/gemm.h"

// Scores of rows of item vectors for few queries: the lanes of a vector hold kLanes items of one query. The bits are
// those of a matrix product (gemm.h).

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// Rows that are scanned in place are prefetched at least so many bytes ahead.
const int64_t kPrefetchedAhead = 16384;

// Adds the products of `steps` ≤ kLanes columns of kLanes rows to the sums of each query, column by column.
template <int kQueries>
SHORTLIST_INLINE void add_columns(const vf* square, int64_t steps, const float* queries, int64_t between, vf* sum) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i >= steps) break;
#pragma GCC unroll 8
    for (int j = 0; j < kQueries; ++j) sum[j] = madd(splat(queries[j * between + i]), square[i], sum[j]);
  }
}

// The least multiple of `rows` that takes kPrefetchedAhead bytes; 0 if rows are empty.
SHORTLIST_INLINE int64_t rows_ahead(int64_t rows, int64_t stride) {
  const int64_t bytes = rows * stride * static_cast<int64_t>(sizeof(float));
  return bytes > 0 ? (kPrefetchedAhead + bytes - 1) / bytes * rows : 0;
}

// Prefetches a cache line of each of kLanes rows.
SHORTLIST_INLINE void prefetch_part(const float* from, int64_t stride) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) __builtin_prefetch(from + i * stride, 0, 2);
}

// The scores of up to kLanes rows, one in each lane, for kQueries queries, which are `between` elements apart. With
// kWhole there are kLanes rows. Whenever it reads a part of each row, it prefetches the same part of as many rows at
// `ahead`, unless that is nullptr.
template <int kQueries, bool kWhole>
SHORTLIST_INLINE void score_lanes(const float* from, int64_t stride, int64_t rows, int64_t width, const float* queries,
                                  int64_t between, const float* ahead, vf* total) {
  const int64_t depth = depth_of(width), own = kWhole ? kLanes : rows;
  for (int j = 0; j < kQueries; ++j) total[j] = vf{};
  for (int64_t p = 0; p < width; p += depth) {
    const int64_t end = width - p < depth ? width : p + depth;
    vf sum[kQueries] = {};
    vf square[kLanes];
    int64_t q = p;
    for (; q + kLanes <= end; q += kLanes) {
      if (kWhole && ahead) prefetch_part(ahead + q, stride);
      load_transposed(from + q, stride, own, kLanes, square);
      add_columns<kQueries>(square, kLanes, queries + q, between, sum);
    }
    if (q < end) {
      if (kWhole && ahead) prefetch_part(ahead + q, stride);
      load_transposed(from + q, stride, own, end - q, square);
      add_columns<kQueries>(square, end - q, queries + q, between, sum);
    }
    for (int j = 0; j < kQueries; ++j) total[j] = p == 0 ? sum[j] : total[j] + sum[j];
  }
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
