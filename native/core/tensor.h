#pragma once

#include <cstdint>

// For functions in headers that are compiled once for each instruction set. They must always be inlined: of several
// out-of-line copies the linker keeps only one, and baseline code could then call a copy compiled for AVX-512.
#define SHORTLIST_INLINE inline __attribute__((always_inline))

namespace shortlist {

enum class Dtype : uint8_t { float32, int32, uint32 };

const int64_t kBytesPerElement = 4;  // of every dtype

struct Call;

// What is known about the elements of an int32 tensor before the run: they lie in [lowest, highest]. If `consecutive`,
// element i is lowest + i.
struct Bounds {
  bool known;
  int32_t lowest, highest;
  bool consecutive;
};

// A view of a row-major matrix. A vector has one column, a scalar one row and one column. Consecutive rows are `stride`
// elements apart, which is more than `columns` if the tensor is some columns of a wider matrix.
struct Tensor {
  const char* name;
  void* data;
  int64_t rows;
  int64_t columns;
  int64_t stride;
  Dtype dtype;
  bool given;         // whether it is an input or a constant, so that checks can read its elements
  int32_t index;      // index into Program::tensors: operands with the same index are the same tensor
  Bounds* bounds;     // for int32: read from the elements if it is given, promised by its op if it is computed
  const Call* maker;  // the instruction that computes it; nullptr for inputs and stored tensors

  SHORTLIST_INLINE float* f32() const { return static_cast<float*>(data); }
  SHORTLIST_INLINE int32_t* i32() const { return static_cast<int32_t*>(data); }
  SHORTLIST_INLINE uint32_t* u32() const { return static_cast<uint32_t*>(data); }
  SHORTLIST_INLINE float* row(int64_t r) const { return f32() + r * stride; }
};

}  // namespace shortlist
