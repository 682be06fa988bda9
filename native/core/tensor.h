#pragma once

#include <cstdint>

// Code in this header is compiled once for each instruction set, so it must never be emitted out of line: the linker
// would keep one copy, and baseline code could be left calling the AVX-512 one.
#define SHORTLIST_INLINE inline __attribute__((always_inline))

namespace shortlist {

enum class Dtype : uint8_t { float32, int32, uint32 };

const int64_t kBytesPerElement = 4;  // of every dtype

struct Call;

// What is known of an int32 tensor's elements before they are made: they lie in [lowest, highest]; where they are
// `consecutive`, element i is lowest + i.
struct Bounds {
  bool known;
  int32_t lowest, highest;
  bool consecutive;
};

// A row-major matrix view. Rank 1 has one column; a scalar has one row too. Rows lie `stride` elements apart: a tensor
// may be a block of columns of a wider one, which is how a concatenation is made without copying.
struct Tensor {
  const char* name;
  void* data;
  int64_t rows;
  int64_t columns;
  int64_t stride;
  Dtype dtype;
  bool given;     // an input or a constant: known before the run, so checks read it
  int32_t index;  // of the Program's tensors: two operands with one index are one tensor
  Bounds*
      bounds;  // of an int32 tensor: found before the run where it is given, promised by its op where it is computed
  const Call* maker;  // the instruction that computes it; nullptr for inputs and stored tensors

  SHORTLIST_INLINE float* f32() const { return static_cast<float*>(data); }
  SHORTLIST_INLINE int32_t* i32() const { return static_cast<int32_t*>(data); }
  SHORTLIST_INLINE uint32_t* u32() const { return static_cast<uint32_t*>(data); }
  SHORTLIST_INLINE float* row(int64_t r) const { return f32() + r * stride; }
};

}  // namespace shortlist
