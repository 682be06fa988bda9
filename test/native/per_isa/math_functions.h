#pragma once

#include <cstdint>

namespace shortlist {

// A function of native/simd/math.h over an array, and the error that math.h states for it.
struct MathFunction {
  const char* name;
  void (*run)(const float* from, float* to, int64_t count);
  float largest_ulp;
};

// The functions of the instruction set that the program is linked with; the list ends with a nullptr name.
extern const MathFunction math_functions[];

}  // namespace shortlist
