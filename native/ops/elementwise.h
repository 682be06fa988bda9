#pragma once

#include "native/ops/operands.h"
#include "native/simd/vector.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kElementsPerBlock = 8192;

// Calls body(row, column, left) for every vector of a [rows, columns] tensor, on all threads. The vector starts at
// `column` and has min(left, kLanes) elements.
template <class Body>
SHORTLIST_INLINE void for_each_vector(const Call& call, int64_t rows, int64_t columns, const Body& body) {
  if (rows == 1) {
    parallel_blocks(call, columns, kElementsPerBlock, [&](int64_t begin, int64_t end) {
      int64_t c = begin;
      for (; c + kLanes <= end; c += kLanes) body(0, c, kLanes);
      if (c < end) body(0, c, end - c);
    });
    return;
  }
  parallel_blocks(call, rows, rows_with_elements(kElementsPerBlock, columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = 0; c < columns; c += kLanes) body(r, c, columns - c);
    }
  });
}

// The same for tensors of `like`'s shape. If `flat`, which requires that is_flat is true of all of them, they are
// treated as one row, row 0.
template <class Body>
SHORTLIST_INLINE void for_each_vector(const Call& call, const Tensor& like, bool flat, const Body& body) {
  if (flat) {
    for_each_vector(call, 1, elements(like), body);
  } else {
    for_each_vector(call, like.rows, like.columns, body);
  }
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
