#pragma once

#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// The sum of all elements, in order, in float64. It runs on the calling thread, because its inputs are small: one
// number for each sample.
SHORTLIST_INLINE double total(const Tensor& tensor) {
  double sum = 0;
  for (int64_t r = 0; r < tensor.rows; ++r) {
    const float* row = tensor.row(r);
    for (int64_t c = 0; c < tensor.columns; ++c) sum += static_cast<double>(row[c]);
  }
  return sum;
}

SHORTLIST_INLINE void fill_with(const Tensor& tensor, float value) {
  for (int64_t r = 0; r < tensor.rows; ++r) {
    for (int64_t c = 0; c < tensor.columns; ++c) tensor.row(r)[c] = value;
  }
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
