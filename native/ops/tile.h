#pragma once

#include "native/core/tensor.h"
#include "native/simd/vector.h"

// The inner loop of every product: a register tile of rows × vectors of sums.
//
// What counts in it is instructions. With the core to itself a tile does as many multiply-adds as there are units for
// them, whatever else it does; but where another program runs on the core's other half, each gets half of the
// instructions that can start in a cycle: 3 of 6, which is 42 in the 14 cycles that 28 multiply-adds of AVX-512 take.
// So most elements are multiplied from memory without being loaded, and steps go by four, at addresses that need no
// arithmetic: a step of 14 × 2 vectors takes 40 instructions, 36 from a packed strip. At 52, as a plain loop has it, a
// tile runs at 0.8 of that speed beside a busy neighbour, and as fast alone. (Emerald Rapids, L1-resident operands.)

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

SHORTLIST_INLINE constexpr int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// The tile of a matrix product, kTileRows × kTileColumns sums: as many as the registers hold.
#if defined(__AVX512F__)
constexpr int kTileRows = 14, kTileVectors = 2;
#elif defined(__AVX2__)
constexpr int kTileRows = 6, kTileVectors = 2;
#elif defined(__aarch64__)
constexpr int kTileRows = 8, kTileVectors = 3;
#else
constexpr int kTileRows = 4, kTileVectors = 2;
#endif
constexpr int kTileColumns = kTileVectors * kLanes;

// How the rows lie: along, element (i, p) at a[i·stride + p]; across, at a[p·stride + i]; or across in a strip, whose
// stride is known: kStripWidth.
enum Layout { kAlong, kAcross, kStrip };
constexpr int kStripWidth = static_cast<int>(round_up(kTileRows, kLanes));

// Calls body(row, vector) for each vector of a tile.
template <int kRows, int kVectors, class Body>
SHORTLIST_INLINE void for_each_vector(const Body& body) {
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) body(i, j);
  }
}

// Elements are numbers, or with kDots pairs of them. (Further lambdas in the loop below would leave its sums in memory:
// GCC 12.)
template <bool kDots>
SHORTLIST_INLINE vf splat_element(const float* element) {
  return kDots ? splat_pair(element) : splat(*element);
}

// c += a · b.
template <bool kDots, class Element>
SHORTLIST_INLINE void add_elements(vf& c, Element a, vf b) {
  if (kDots) {
    add_dot(c, a, b);
  } else {
    add_product(c, a, b);
  }
}

// sums[i][j] += Σ a(i, p) · b(p, j), p rising from 0 to k − 1; vector j of step p is at b + p·b_stride + j·kLanes. With
// kDots an element is a pair of numbers in bfloat16 (vector.h), and a · b their dot product.
//
// An empty asm hides a value from GCC 12, which would otherwise keep more sums of addresses than there are registers.
template <int kRows, int kVectors, Layout kLayout, bool kDots = false>
SHORTLIST_INLINE void multiply_add(int64_t k, const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                                   vf (*sums)[kVectors]) {
  vf sum[kRows][kVectors];  // of its own: if the caller's array lies in memory, these still stay in registers
  for_each_vector<kRows, kVectors>([&](int i, int j) __attribute__((always_inline)) { sum[i][j] = sums[i][j]; });
  int64_t stride = kLayout == kStrip ? kStripWidth : a_stride;
  // Rows that lie along: two to a pointer, of which the first is multiplied from memory.
  const int kPointers = kLayout == kAlong ? (kRows + 1) / 2 : 1;
  const float* row[kPointers];
#pragma GCC unroll 16
  for (int i = 0; i < kPointers; ++i) {
    row[i] = a + 2 * i * stride;
    asm("" : "+r"(row[i]));
  }
  const auto element_at = [&](int i, int p) __attribute__((always_inline)) {
    return kLayout == kAlong ? row[i / 2] + i % 2 * stride + p : row[0] + (kLayout == kStrip ? p * kStripWidth : 0) + i;
  };
  const auto step = [&](int p) __attribute__((always_inline)) {
    // The shorter side is kept in registers.
    if (kRows < kVectors) {
      vf element[kRows];
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) element[i] = splat_element<kDots>(element_at(i, p));
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) {
        const vf column = load(b + j * kLanes);
#pragma GCC unroll 16
        for (int i = 0; i < kRows; ++i) add_elements<kDots>(sum[i][j], element[i], column);
      }
    } else {
      vf column[kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) column[j] = load(b + j * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        if (kLayout == kAlong ? i % 2 == 0 : i % 3 > 0) {
#pragma GCC unroll 4
          for (int j = 0; j < kVectors; ++j) add_elements<kDots>(sum[i][j], element_at(i, p), column[j]);
        } else {
          const vf broadcast = splat_element<kDots>(element_at(i, p));
#pragma GCC unroll 4
          for (int j = 0; j < kVectors; ++j) add_elements<kDots>(sum[i][j], broadcast, column[j]);
        }
      }
    }
    b += b_stride;
    asm("" : "+r"(b));
    if (kLayout == kAcross) row[0] += stride;
    if (kLayout == kAlong) asm("" : "+r"(stride));
  };
  const auto move = [&](int steps) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int i = 0; i < kPointers; ++i) {
      row[i] += kLayout == kAlong ? steps : kLayout == kStrip ? steps * stride : 0;
      asm("" : "+r"(row[i]));
    }
  };
  for (; k >= 4; k -= 4) {
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) step(p);
    move(4);
  }
  for (; k > 0; --k) {
    step(0);
    move(1);
  }
  for_each_vector<kRows, kVectors>([&](int i, int j) __attribute__((always_inline)) { sums[i][j] = sum[i][j]; });
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
