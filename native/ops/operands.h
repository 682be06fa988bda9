#pragma once

#include "native/core/kernel.h"
#include "native/simd/vector.h"

// Shape predicates for checks, scratch memory of a type, and the precision of products.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

SHORTLIST_INLINE int64_t elements(const Tensor& tensor) { return tensor.rows * tensor.columns; }

SHORTLIST_INLINE bool is_shape(const Tensor& tensor, int64_t rows, int64_t columns) {
  return tensor.rows == rows && tensor.columns == columns;
}

SHORTLIST_INLINE bool same_shape(const Tensor& a, const Tensor& b) { return is_shape(a, b.rows, b.columns); }

// Whether rows are contiguous, so that the tensor can be read as a list of elements.
SHORTLIST_INLINE bool is_flat(const Tensor& tensor) { return tensor.rows <= 1 || tensor.stride == tensor.columns; }

SHORTLIST_INLINE float* float_scratch(const Call& call, int64_t count) {
  return static_cast<float*>(scratch(call, count));
}
SHORTLIST_INLINE int32_t* int_scratch(const Call& call, int64_t count) {
  return static_cast<int32_t*>(scratch(call, count));
}

// The operands of products are rounded to bfloat16 if the attribute `precision` says so.
SHORTLIST_INLINE bool is_bf16(const Call& call) { return text_attribute_is(call, "precision", "bf16"); }

SHORTLIST_INLINE void check_precision(const Call& call) {
  expect(call, is_bf16(call) || text_attribute_is(call, "precision", "float32"), "precision \"float32\" or \"bf16\"");
}

SHORTLIST_INLINE vf rounded(vf x, bool bf16) { return bf16 ? round_to_bf16(x) : x; }

SHORTLIST_INLINE void copy_row(float* to, const float* from, int64_t count, bool bf16) {
  for_each_vector_in(
      count, [&](int64_t j, int64_t left) __attribute__((always_inline)) {
        store_upto(to + j, rounded(load_upto(from + j, left), bf16), left);
      });
}

// The number of rows that have about so many elements. Chunks of cheap loops are sized by it: a chunk should take at
// least about a microsecond, far more than handing it to a thread.
SHORTLIST_INLINE int64_t rows_with_elements(int64_t elements, int64_t columns) { return elements / (columns + 1) + 1; }

const int64_t kGroupsPerChunk = 1024;

// The group of each element, [last offset]: group[i] = g for offsets[g] ≤ i < offsets[g + 1].
inline const int32_t* group_of_each(const Call& call, const Tensor& offsets) {
  const int32_t* offset = offsets.i32();
  const int64_t groups = offsets.rows - 1;
  int32_t* group = int_scratch(call, offset[groups]);
  parallel_blocks(call, groups, kGroupsPerChunk, [=](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      for (int32_t i = offset[g]; i < offset[g + 1]; ++i) group[i] = static_cast<int32_t>(g);
    }
  });
  return group;
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
