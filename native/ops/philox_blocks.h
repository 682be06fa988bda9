#pragma once

#include "native/simd/vector.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// A word of kLanes Philox blocks: those of even and of odd lanes, in the low halves of 64-bit lanes, where products
// leave them. The high halves do not matter.
struct PhiloxWord {
  vq even;
  vq odd;
};

SHORTLIST_INLINE PhiloxWord philox_word(vu word) { return {(vq)word, (vq)word >> 32}; }

SHORTLIST_INLINE vu lanes_of(const PhiloxWord& word) { return (vu)((word.even & 0xffffffffu) | (word.odd << 32)); }

SHORTLIST_INLINE PhiloxWord high_halves_xor(const PhiloxWord& product, const PhiloxWord& word, uint32_t key) {
  const vq keys = (vq)(key - vu{});
  return {(product.even >> 32) ^ word.even ^ keys, (product.odd >> 32) ^ word.odd ^ keys};
}

SHORTLIST_INLINE PhiloxWord multiply_words(const PhiloxWord& a, uint32_t b) {
  const vu factor = b - vu{};
  return {multiply_even((vu)a.even, factor), multiply_even((vu)a.odd, factor)};
}

// words[w] = word w of the Philox 4×32-10 blocks (native/core/philox.h) with the counters (first, second, third,
// fourth) and the key (seed, stream). Each lane of a vector computes one block.
SHORTLIST_INLINE void philox_vectors(vu first, vu second, uint32_t third, uint32_t fourth, uint32_t seed,
                                     uint32_t stream, vu words[4]) {
  PhiloxWord word0 = philox_word(first), word1 = philox_word(second), word2 = philox_word(third - vu{}),
             word3 = philox_word(fourth - vu{});
  uint32_t key0 = seed, key1 = stream;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const PhiloxWord even = multiply_words(word0, 0xD2511F53u), odd = multiply_words(word2, 0xCD9E8D57u);
    word0 = high_halves_xor(odd, word1, key0);
    word1 = odd;
    word2 = high_halves_xor(even, word3, key1);
    word3 = even;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  words[0] = lanes_of(word0);
  words[1] = lanes_of(word1);
  words[2] = lanes_of(word2);
  words[3] = lanes_of(word3);
}

const int kPhiloxBlocks = 16;

// words[w][i] = word w of the block with the counter (first[i], second[i], third, fourth) and the key (seed, stream).
SHORTLIST_INLINE void philox_blocks(const uint32_t first[kPhiloxBlocks], const uint32_t second[kPhiloxBlocks],
                                    uint32_t third, uint32_t fourth, uint32_t seed, uint32_t stream,
                                    uint32_t words[4][kPhiloxBlocks]) {
  for (int i = 0; i < kPhiloxBlocks; i += kLanes) {
    vu word0, word1, of_lanes[4];
    __builtin_memcpy(&word0, first + i, sizeof word0);
    __builtin_memcpy(&word1, second + i, sizeof word1);
    philox_vectors(word0, word1, third, fourth, seed, stream, of_lanes);
    for (int word = 0; word < 4; ++word) __builtin_memcpy(words[word] + i, &of_lanes[word], sizeof of_lanes[word]);
  }
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
