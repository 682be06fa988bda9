#pragma once

#include "native/ops/operands.h"
#include "native/simd/vector.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// output[g] = Σ input[r] over offsets[g] ≤ r < offsets[g + 1], in row order; 0 for a group without rows. The output is
// overwritten.
//
// Groups may have any length. Chunks are narrow, so that even a single group with all rows is divided among threads.
inline void sum_ranges(const Call& call, const Tensor& input, const int32_t* offsets, const Tensor& output) {
  const int64_t groups_per_chunk = 16, columns_per_chunk = 64;
  const int64_t across = (output.columns + columns_per_chunk - 1) / columns_per_chunk;
  const int64_t down = (output.rows + groups_per_chunk - 1) / groups_per_chunk;
  parallel(call, down * across, [&](int64_t chunk) {
    const int64_t first = chunk / across * groups_per_chunk, column = chunk % across * columns_per_chunk;
    const int64_t last = first + groups_per_chunk < output.rows ? first + groups_per_chunk : output.rows;
    const int64_t end = column + columns_per_chunk < output.columns ? column + columns_per_chunk : output.columns;
    for (int64_t g = first; g < last; ++g) {
      for_each_strip(column, end, [&](auto vectors, int64_t c, int64_t left) {
        const int n = decltype(vectors)::value;
        vf total[n] = {};
        for (int64_t r = offsets[g]; r < offsets[g + 1]; ++r) {
          for (int i = 0; i < n; ++i) total[i] += load_strip<n>(input.row(r) + c, i, left);
        }
        for (int i = 0; i < n; ++i) store_strip<n>(output.row(g) + c, i, total[i], left);
      });
    }
  });
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
