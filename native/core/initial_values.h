#pragma once

#include <cstdint>

namespace shortlist {

// The distribution of a tensor's initial values: uniform in [−scale, scale), or normal with mean 0 and standard
// deviation `scale`.
struct RandomValues {
  bool normal;
  double scale;
  uint32_t seed;
  uint32_t tensor;  // a number of the tensor: tensors with the same seed get different values
};

// Writes `count` random values to `values`. Element i is made from word i mod 4 of the tensor's Philox block ⌊i/4⌋.
// Normal values are made in pairs (Box & Muller 1958). src/random/initial_values.ts gives the same bits.
void random_values(const RandomValues& random, float* values, int64_t count);

}  // namespace shortlist
