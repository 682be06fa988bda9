#pragma once

#include "native/core/kernel.h"
#include "native/ops/tile.h"

// Matrix products C (= | +=) A·B; gemm.cc describes how they are computed.
//
// An element of C is a sum over k in rising order, cut into blocks that depend on k alone. So its bits depend only on
// its row of A, its column of B and k, and not on other rows and columns, its place or the number of threads. A score
// that is computed alone equals the same score computed among a million. There is one exception: for long sums into a
// small C, such as the gradient of a weight, `multiply` cuts k into slabs, depending on m, n and k, unless it is told
// not to.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// Rows of the blocks in which items are scanned (scores.h): whole tiles.
constexpr int kRowsPerBlock = 72 / kTileRows * kTileRows;

// The largest block of k: a panel of at most 32 KiB. Even, so that blocks do not cut pairs.
const int64_t kDepth = 256;

// The length of a block of k. Blocks have equal, even lengths of at most kDepth, which depend on k alone.
SHORTLIST_INLINE int64_t depth_of(int64_t k) {
  const int64_t blocks = (k + kDepth - 1) / kDepth;
  return blocks == 0 ? 2 : round_up((k + blocks - 1) / blocks, 2);
}

// Loads a square of kLanes rows × kLanes steps and transposes it: square[p] is step p of all rows. Steps from `steps`
// on and rows from `rows` on are 0.
SHORTLIST_INLINE void load_transposed(const float* from, int64_t stride, int64_t rows, int64_t steps, vf* square) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) square[i] = i < rows ? load_upto(from + i * stride, steps) : vf{};
  transpose(square);
}

}  // namespace

// Element (i, j) is data[i·row_stride + j·column_stride]. One of the strides is 1. Swapping them transposes the matrix.
struct Matrix {
  const float* data;
  int64_t row_stride;
  int64_t column_stride;
  // The product rounds the elements to bfloat16. If only one operand has this flag, the elements of the other one must
  // be bfloat16 numbers already.
  bool bf16 = false;
};

// What is done with the elements of C, in this order.
struct Epilogue {
  bool accumulate = false;             // C += instead of C =
  const float* column_bias = nullptr;  // [n], added to each row
  const float* row_bias = nullptr;     // [m], added to each column
  bool relu = false;                   // max(0, ·); NaN stays NaN
  bool whole_sums = false;             // `multiply` cuts no sum into slabs, so the bits of a row do not depend on m
};

// B [k, n], packed in panels of kTileColumns columns; the last panel is padded with zeros.
struct PackedMatrix {
  float* data;  // packed_elements(k, n) elements, 64-byte aligned
  int64_t k;
  int64_t n;
  bool bf16 = false;  // elements are rounded to bfloat16 when they are packed; those of A must be rounded already
};

// The number of elements of a packed matrix [k, n].
int64_t packed_elements(int64_t k, int64_t n);
// Packs B on the calling thread.
void pack(const PackedMatrix& packed, const Matrix& b);
// Packs B on all threads.
void pack(const Call& call, const PackedMatrix& packed, const Matrix& b);

// C [m, columns] (= | +=) A [m, k] · B[:, first_column … first_column + columns − 1], on the calling thread.
// `first_column` is a multiple of kTileColumns. A.bf16 is ignored.
void multiply_packed(int64_t m, int64_t first_column, int64_t columns, const Matrix& a, const PackedMatrix& b, float* c,
                     int64_t c_stride, const Epilogue& epilogue);

// The number of elements that A [rows, k] takes if it is packed one block of k at a time.
int64_t strip_elements(int64_t rows, int64_t k);

// C [m, n] (= | +=) A [m, k] · B [k, n] on the calling thread. `strips` is memory for strip_elements(m, k) elements,
// 64-byte aligned; nullptr if no operand is bf16.
void multiply_alone(int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c, int64_t c_stride,
                    const Epilogue& epilogue, float* strips);

// C [m, n] (= | +=) A [m, k] · B [k, n] on all threads. C aliases neither. With k = 0 the product is 0.
//
// If k ≥ 2048 and m·n ≤ 2¹⁷, or k ≥ 512 and m·n ≤ 2¹⁴, C is too small for all threads. Then, without `whole_sums`, k is
// cut into at most 16 slabs, whose products are computed in parallel and added in order. Slabs take scratch memory, and
// so does a packed copy of B if m is large.
void multiply(const Call& call, int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c,
              int64_t c_stride, const Epilogue& epilogue);

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
