#pragma once

#include "native/core/tensor.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int kPhiloxBlocks = 16;

// The words of kPhiloxBlocks blocks of Philox 4×32-10 (native/core/philox.h) with counters (word0[i], word1[i], word2,
// word3) and key (seed, stream): one lane a block.
SHORTLIST_INLINE void philox_blocks(const uint32_t first[kPhiloxBlocks], const uint32_t second[kPhiloxBlocks],
                                    uint32_t third, uint32_t fourth, uint32_t seed, uint32_t stream,
                                    uint32_t words[4][kPhiloxBlocks]) {
  for (int i = 0; i < kPhiloxBlocks; ++i) {
    uint32_t word0 = first[i], word1 = second[i], word2 = third, word3 = fourth;
    uint32_t key0 = seed, key1 = stream;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t even = uint64_t{0xD2511F53u} * word0;
      const uint64_t odd = uint64_t{0xCD9E8D57u} * word2;
      word0 = static_cast<uint32_t>(odd >> 32) ^ word1 ^ key0;
      word1 = static_cast<uint32_t>(odd);
      word2 = static_cast<uint32_t>(even >> 32) ^ word3 ^ key1;
      word3 = static_cast<uint32_t>(even);
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    words[0][i] = word0;
    words[1][i] = word1;
    words[2][i] = word2;
    words[3][i] = word3;
  }
}

// The stream of dropouts, and the word from which on one keeps an element.
const uint32_t kDropoutStream = 5;
SHORTLIST_INLINE uint32_t keep_above(double rate) { return static_cast<uint32_t>(rate * 4294967296.0 + 0.5); }

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
