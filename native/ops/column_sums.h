#pragma once

#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// to [columns] = the sums of the matrix's columns. Blocks of rows are summed first and then their sums, both in order,
// so the bits do not depend on the number of threads.
SHORTLIST_INLINE void column_sums(const Call& call, const Tensor& matrix, float* to) {
  const int64_t rows_per_block = 128;  // the order of the sum, and so its bits, depend on it
  const int64_t width = matrix.columns;
  const int64_t blocks = (matrix.rows + rows_per_block - 1) / rows_per_block;
  float* partial = float_scratch(call, blocks * width);
  parallel_blocks(call, matrix.rows, rows_per_block, [&](int64_t begin, int64_t end) {
    float* __restrict sum = partial + begin / rows_per_block * width;
    for (int64_t c = 0; c < width; ++c) sum[c] = 0;
    for (int64_t r = begin; r < end; ++r) {
      const float* __restrict row = matrix.row(r);
      for (int64_t c = 0; c < width; ++c) sum[c] += row[c];
    }
  });
  for (int64_t c = 0; c < width; ++c) to[c] = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    const float* __restrict row = partial + b * width;
    for (int64_t c = 0; c < width; ++c) to[c] += row[c];
  }
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
