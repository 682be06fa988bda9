// Gives the same bits as src/random/initial_values.ts. +, −, ×, / and √ of doubles are exactly rounded in C++ and in
// JavaScript, so it is enough to do the same operations in the same order, and to keep the compiler from fusing a
// multiplication with an addition.

#include "native/core/initial_values.h"

#include <cmath>
#include <cstring>

#include "native/core/philox.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

namespace shortlist {
namespace {

const uint32_t kStream = 2;  // STREAMS.initial_values
const double kLn2 = 0.6931471805599453, kHalfPi = 1.5707963267948966, kSqrt2 = 1.4142135623730951;
// Looked up rather than branched on, as a branch on random bits is mispredicted half of the time.
const double kHalves[2] = {1, 0.5};
const double kSignOfCos[5] = {1, -1, -1, 1, 1}, kSignOfSin[5] = {1, 1, -1, -1, 1};

// A number in (0, 1) from 32 random bits.
double unit(uint32_t word) { return (word + 0.5) / 4294967296.0; }

// For x = m · 2ᵉ with m in (√½, √2]: ln x = e · ln 2 + 2 artanh(s), s = (m − 1) / (m + 1), by the series of artanh.
double logarithm(double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0xfffffffffffffu) | 0x3ff0000000000000u;
  double m;
  std::memcpy(&m, &bits, sizeof m);
  const int upper = m > kSqrt2;
  m = m * kHalves[upper];
  exponent += upper;
  const double s = (m - 1) / (m + 1);
  const double z = s * s;
  const double series =
      1 +
      z * (1.0 / 3 + z * (1.0 / 5 + z * (1.0 / 7 + z * (1.0 / 9 + z * (1.0 / 11 + z * (1.0 / 13 + z * (1.0 / 15)))))));
  return exponent * kLn2 + 2 * s * series;
}

// cos and sin of 2π · turns for turns in (0, 1): the Taylor series within an eighth of a turn of the nearest quarter.
void turn(double turns, double* to) {
  const int number = static_cast<int>(4 * turns + 0.5);
  const double x = (4 * turns - number) * kHalfPi;
  const double z = x * x;
  const double sine =
      x * (1 + z * (-1.0 / 6 +
                    z * (1.0 / 120 +
                         z * (-1.0 / 5040 + z * (1.0 / 362880 + z * (-1.0 / 39916800 + z * (1.0 / 6227020800)))))));
  const double cosine =
      1 +
      z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z * (1.0 / 479001600))))));
  const double parts[2] = {cosine, sine};
  to[0] = kSignOfCos[number] * parts[number % 2];
  to[1] = kSignOfSin[number] * parts[1 - number % 2];
}

}  // namespace

void random_values(const RandomValues& random, float* values, int64_t count) {
  for (int64_t i = 0; i < count; i += 4) {
    const uint64_t block = static_cast<uint64_t>(i) / 4;
    uint32_t words[4];
    philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), random.tensor, 0}, random.seed, kStream,
           words);
    for (int64_t j = 0; j < 4; j += 2) {
      const double first = unit(words[j]), second = unit(words[j + 1]);
      double pair[2];
      if (random.normal) {
        const double radius = random.scale * std::sqrt(-2 * logarithm(first));
        turn(second, pair);
        pair[0] *= radius;
        pair[1] *= radius;
      } else {
        pair[0] = (2 * first - 1) * random.scale;
        pair[1] = (2 * second - 1) * random.scale;
      }
      if (i + j < count) values[i + j] = static_cast<float>(pair[0]);
      if (i + j + 1 < count) values[i + j + 1] = static_cast<float>(pair[1]);
    }
  }
}

}  // namespace shortlist
