#pragma once

#include "native/core/tensor.h"
#include "native/simd/vector.h"

// The inner loop of every matrix product: a register tile of rows × vectors of sums.
//
// The loop is written to execute few instructions. On a core of its own, the multiply-add units limit it, whatever else
// it executes. But on a server with several tenants, another program often runs on the core's other hardware thread.
// Each then gets half of the instructions that the core can start: 3 of 6 in a cycle, or 42 in the 14 cycles that 28
// multiply-adds of AVX-512 take. So most elements of A are memory operands of multiply-adds, without an instruction
// that loads them, and the loop is unrolled by four, with addresses that need no arithmetic. One step of a tile of 14 ×
// 2 vectors takes 40 instructions, or 36 if A is packed. A plain loop takes 52: it is as fast alone, but has 0.8 of the
// speed beside a busy neighbour (Emerald Rapids, operands in the L1 cache).

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

SHORTLIST_INLINE constexpr int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// The tile of gemm.cc: kTileRows × kTileColumns sums, as many as the registers hold.
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

// Where element (i, p) of A is. kAlong: a[i·stride + p]. kAcross: a[p·stride + i]. kStrip: packed, as kAcross with the
// stride kStripWidth, which is known at compile time.
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

// An element is a float32 number, or with kDots a pair of bfloat16 numbers. (A function, because with one more lambda
// in the loop below GCC 12 keeps its sums in memory.)
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

// sums[i][j] += Σ a(i, p) · b(p, j), p rising from 0 to k − 1. Vector j of step p is at b + p·b_stride + j·kLanes. With
// kDots a · b is the dot product of two pairs (vector.h).
//
// The empty asm statements hide values from GCC 12, which would otherwise keep more precomputed addresses than there
// are registers. The function is long because GCC 12 keeps the sums in memory if the loop is divided further.
template <int kRows, int kVectors, Layout kLayout, bool kDots = false>
SHORTLIST_INLINE void multiply_add(int64_t k, const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                                   vf (*sums)[kVectors]) {
  vf sum[kRows][kVectors];  // a copy, which stays in registers even if the caller's array is in memory
  for_each_vector<kRows, kVectors>([&](int i, int j) __attribute__((always_inline)) { sum[i][j] = sums[i][j]; });
  int64_t stride = kLayout == kStrip ? kStripWidth : a_stride;
  // With kAlong there is one pointer for two rows; the elements of the first one are memory operands.
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
    // Loads the shorter side into registers once: elements of A, or vectors of B.
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
