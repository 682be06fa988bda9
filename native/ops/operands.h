#pragma once

#include "native/ops/op.h"

// Shape predicates for checks.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

SHORTLIST_INLINE int64_t elements(const Tensor& tensor) { return tensor.rows * tensor.columns; }

SHORTLIST_INLINE bool is_shape(const Tensor& tensor, int64_t rows, int64_t columns) {
  return tensor.rows == rows && tensor.columns == columns;
}

SHORTLIST_INLINE bool same_shape(const Tensor& a, const Tensor& b) { return is_shape(a, b.rows, b.columns); }

// Rows lie one behind the other, so the tensor can be read as a list of elements.
SHORTLIST_INLINE bool is_flat(const Tensor& tensor) { return tensor.rows <= 1 || tensor.stride == tensor.columns; }

SHORTLIST_INLINE float* float_scratch(const Call& call, int64_t count) { return static_cast<float*>(scratch(call, count)); }
SHORTLIST_INLINE int32_t* int_scratch(const Call& call, int64_t count) {
  return static_cast<int32_t*>(scratch(call, count));
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
