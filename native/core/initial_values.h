#pragma once

#include <cstdint>

namespace shortlist {

// Random start values of a tensor: uniform in [−scale, scale), or normal with mean 0 and standard deviation `scale`.
struct RandomValues {
  bool normal;
  double scale;
  uint32_t seed;
  uint32_t tensor;  // tells tensors of the same seed apart
};

// Element i takes word i mod 4 of the Philox block ⌊i/4⌋ of its tensor; normals come in pairs (Box & Muller 1958). The
// bits are those of src/random/initial_values.ts.
void random_values(const RandomValues& random, float* values, int64_t count);

}  // namespace shortlist
