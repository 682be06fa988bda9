#pragma once

#include "native/simd/vector.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int kPhiloxBlocks = 16;

// words[w][i] = word w of the Philox 4×32-10 block (native/core/philox.h) with the counter (first[i], second[i], third,
// fourth) and the key (seed, stream). Each lane of a vector computes one block.
SHORTLIST_INLINE void philox_blocks(const uint32_t first[kPhiloxBlocks], const uint32_t second[kPhiloxBlocks],
                                    uint32_t third, uint32_t fourth, uint32_t seed, uint32_t stream,
                                    uint32_t words[4][kPhiloxBlocks]) {
  for (int i = 0; i < kPhiloxBlocks; i += kLanes) {
    vu word0, word1;
    __builtin_memcpy(&word0, first + i, sizeof word0);
    __builtin_memcpy(&word1, second + i, sizeof word1);
    vu word2 = third - vu{}, word3 = fourth - vu{};
    uint32_t key0 = seed, key1 = stream;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      vu even_low, even_high, odd_low, odd_high;
      multiply_wide(word0, 0xD2511F53u, &even_low, &even_high);
      multiply_wide(word2, 0xCD9E8D57u, &odd_low, &odd_high);
      word0 = odd_high ^ word1 ^ key0;
      word1 = odd_low;
      word2 = even_high ^ word3 ^ key1;
      word3 = even_low;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    __builtin_memcpy(words[0] + i, &word0, sizeof word0);
    __builtin_memcpy(words[1] + i, &word1, sizeof word1);
    __builtin_memcpy(words[2] + i, &word2, sizeof word2);
    __builtin_memcpy(words[3] + i, &word3, sizeof word3);
  }
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
