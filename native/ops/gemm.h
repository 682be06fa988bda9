#pragma once

#include "native/core/kernel.h"
#include "native/ops/tile.h"

// Matrix product. C (= | +=) A·B in the manner of BLIS (Van Zee & van de Geijn 2015), see gemm.cc.
//
// Every element of C is one chain of multiply-adds over k, rising, cut into blocks that depend on k alone. So its bits
// depend on its row of A, its column of B and k: not on its place, the other rows and columns, or the threads. A score
// computed alone equals the same score computed among a million. (Only long sums into a small C, which is what the
// gradient of a weight is, are cut into slabs first: see `multiply`.)

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// Rows that the scans of items (scores.h) work on at a time: whole tiles.
constexpr int kRowsPerBlock = 72 / kTileRows * kTileRows;

}  // namespace

// Element (i, j) is data[i·row_stride + j·column_stride], and one of the strides is 1; a transpose swaps them.
struct Matrix {
  const float* data;
  int64_t row_stride;
  int64_t column_stride;
  bool bf16 =
      false;  // elements count as rounded to bfloat16; those of the other operand have to be too, if it does not say so
};

// What happens to C's elements.
struct Epilogue {
  bool accumulate = false;             // C += instead of C =
  const float* column_bias = nullptr;  // [n], added at the end
  const float* row_bias = nullptr;     // [m]
  bool relu = false;                   // max(0, ·) last of all; NaN stays NaN
};

// B [k, n] in panels of kTileColumns columns, the last padded with zeros.
struct PackedMatrix {
  float* data;  // packed_elements(k, n), 64-byte aligned
  int64_t k;
  int64_t n;
  bool bf16 = false;  // rounded as they are packed; A's elements have to be bfloat16 numbers then
};

int64_t packed_elements(int64_t k, int64_t n);
void pack(const PackedMatrix& packed, const Matrix& b);
// The same on all threads.
void pack(const Call& call, const PackedMatrix& packed, const Matrix& b);

// C [m, columns] (= | +=) A·B[:, first_column …]; `first_column` is a multiple of kTileColumns. On the calling
// thread; A is not rounded.
void multiply_packed(int64_t m, int64_t first_column, int64_t columns, const Matrix& a, const PackedMatrix& b, float* c,
                     int64_t c_stride, const Epilogue& epilogue);

// Columns of B that are few: C's rows are then better made kLanes at a time than one by one.
constexpr int64_t kFewColumns = kLanes / 4;

// The `columns` ≤ kFewColumns, at least one, of C = A·B[:, first_column …] + row_bias: the same bits as
// multiply_packed, and columns from there up to kLanes become 0. A's rows lie along and are not rounded.
void multiply_few(int64_t m, int64_t first_column, int64_t columns, const Matrix& a, const PackedMatrix& b, float* c,
                  int64_t c_stride, const float* row_bias);

// Elements of A [rows, k] packed, a block of k at a time.
int64_t strip_elements(int64_t rows, int64_t k);

// C [m, n] (= | +=) A [m, k]·B [k, n] on the calling thread, with strip_elements(m, k) of memory at `strips`, 64-byte
// aligned, or nullptr where no operand is bf16.
void multiply_alone(int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c, int64_t c_stride,
                    const Epilogue& epilogue, float* strips);

// C [m, n] (= | +=) A [m, k]·B [k, n] on all threads; C aliases neither. k = 0 gives zeros (and biases). Where
// k ≥ 2048 and m·n ≤ 2¹⁷, or k ≥ 512 and m·n ≤ 2¹⁴, k is cut into at most 16 slabs whose products are made side by side
// and added in order. Takes scratch memory of the size of B where m is large, and for those slabs.
void multiply(const Call& call, int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c,
              int64_t c_stride, const Epilogue& epilogue);

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
