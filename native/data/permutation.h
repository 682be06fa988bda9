#pragma once

#include <cstdint>

#include "native/core/philox.h"

namespace shortlist {

// src/random/permutation.ts: a pseudorandom permutation of 0 … length − 1 that holds no table, and the same one.
class KeyedPermutation {
 public:
  KeyedPermutation() : KeyedPermutation(0, 0, 0, 0) {}

  KeyedPermutation(int64_t length, uint32_t seed, uint32_t word1, uint32_t word2)
      : length_(static_cast<uint64_t>(length)) {
    int bits = 0;
    while ((uint64_t{1} << bits) < length_) ++bits;
    low_bits_ = (bits + 1) / 2;
    low_mask_ = (uint32_t{1} << low_bits_) - 1;
    high_mask_ = (uint32_t{1} << (bits - low_bits_)) - 1;
    for (uint32_t block = 0; block < kRounds / 4; ++block) {
      uint32_t words[4];
      philox({block, word1, word2, 0}, seed, kShuffleStream, words);
      for (int i = 0; i < 4; ++i) keys_[4 * block + i] = words[i];
    }
  }

  // Where index i of 0 … length − 1 goes.
  int64_t at(int64_t i) const {
    uint64_t value = static_cast<uint64_t>(i);
    do {
      uint32_t high = static_cast<uint32_t>(value >> low_bits_), low = static_cast<uint32_t>(value) & low_mask_;
      for (int round = 0; round < kRounds; round += 2) {
        low ^= hash(high ^ keys_[round]) & low_mask_;
        high ^= hash(low ^ keys_[round + 1]) & high_mask_;
      }
      value = uint64_t{high} << low_bits_ | low;
    } while (value >= length_);
    return static_cast<int64_t>(value);
  }

 private:
  static const int kRounds = 16;
  static const uint32_t kShuffleStream = 3;  // src/random/philox.ts, STREAMS

  // MurmurHash3's 32-bit finaliser.
  static uint32_t hash(uint32_t h) {
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
  }

  uint64_t length_;
  int low_bits_;
  uint32_t low_mask_, high_mask_;
  uint32_t keys_[kRounds];
};

}  // namespace shortlist
