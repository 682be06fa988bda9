#pragma once

#include <string.h>

#include "native/core/tensor.h"

// Candidates of a selection as numbers that are sorted, for the ops and searches that return the best items.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int kMostRounds = 64;  // of quickselect

// A candidate as one number, which is smaller for a better candidate: the bits of the score, mapped so that they fall
// when the score rises, then the item.
SHORTLIST_INLINE uint64_t key_of(float score, int32_t item) {
  const float positive_zero = score + 0.0f;  // −0 and 0 are equal
  uint32_t bits;
  memcpy(&bits, &positive_zero, sizeof bits);
  const uint32_t falling = bits >> 31 ? bits : ~bits & 0x7fffffffu;
  return uint64_t{falling} << 32 | static_cast<uint32_t>(item);
}

SHORTLIST_INLINE float score_of(uint64_t key) {
  const uint32_t falling = static_cast<uint32_t>(key >> 32);
  const uint32_t bits = falling >> 31 ? falling : ~falling & 0x7fffffffu;
  float score;
  memcpy(&score, &bits, sizeof score);
  return score;
}

SHORTLIST_INLINE int32_t item_of(uint64_t key) { return static_cast<int32_t>(key & 0xffffffffu); }

// Sorts keys in rising order. Heapsort: it needs no recursion and has no quadratic worst case.
template <class Key>
SHORTLIST_INLINE void sort_keys(Key* keys, int64_t count) {
  for (int64_t unsorted = count / 2 + count; unsorted > 1;) {
    // The first count / 2 rounds build the heap; each of the others moves its largest key to the end.
    --unsorted;
    const bool building = unsorted >= count;
    const int64_t size = building ? count : unsorted;
    int64_t at = building ? unsorted - count : 0;
    Key key = keys[at];
    if (!building) {
      key = keys[unsorted];
      keys[unsorted] = keys[0];
    }
    for (int64_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && keys[child + 1] > keys[child]) ++child;
      if (keys[child] <= key) break;
      keys[at] = keys[child];
      at = child;
    }
    keys[at] = key;
  }
}

// Moves the `top` smallest of keys[0 … count) to the front, with the largest of them last. Keys are distinct.
// Quickselect with the median of three as its pivot. The partition has no branches, as every other one would be
// mispredicted. If 64 rounds are not enough, the rest is sorted.
SHORTLIST_INLINE void select_best(uint64_t* keys, int64_t count, int64_t top) {
  int64_t low = 0, high = count - 1;
  const int64_t at = top - 1;
  for (int round = 0; low < high; ++round) {
    if (round == kMostRounds) return sort_keys(keys + low, high - low + 1);
    const int64_t middle = low + (high - low) / 2;
    const uint64_t a = keys[low], b = keys[middle], c = keys[high];
    const int64_t median = (a < b) == (b < c) ? middle : (a < b) == (c < a) ? low : high;
    const uint64_t pivot = keys[median];
    keys[median] = keys[high];
    int64_t below = low;  // keys[low … below) < pivot
    for (int64_t i = low; i < high; ++i) {
      const uint64_t key = keys[i];
      keys[i] = keys[below];
      keys[below] = key;
      below += key < pivot;
    }
    keys[high] = keys[below];
    keys[below] = pivot;
    if (at == below) return;
    if (at < below) {
      high = below - 1;
    } else {
      low = below + 1;
    }
  }
}

// Writes the best `top` of `count` keys as a row of a result with so many columns: −1 and −∞ where there are no more.
SHORTLIST_INLINE void write_best(uint64_t* keys, int64_t count, int64_t top, int64_t columns, int32_t* items,
                                 float* scores) {
  if (count > top) {
    if (top > 0) select_best(keys, count, top);
    count = top;
  }
  sort_keys(keys, count);
  for (int64_t n = 0; n < columns; ++n) {
    items[n] = n < count ? item_of(keys[n]) : -1;
    scores[n] = n < count ? score_of(keys[n]) : -__builtin_inff();
  }
}

// Raises a number that several threads read and raise.
SHORTLIST_INLINE void raise_shared(float* shared, float to) {
  float seen;
  __atomic_load(shared, &seen, __ATOMIC_RELAXED);
  while (seen < to && !__atomic_compare_exchange(shared, &seen, &to, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
