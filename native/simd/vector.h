#pragma once

#include <stdint.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__x86_64__)
#include <nmmintrin.h>
#endif

#include "native/core/tensor.h"

// Vectors of kLanes numbers, in the widest registers of the instruction set that the file is compiled for: vf holds
// float32, vi int32. The operators + - * / are those of the compiler's vector extension; other operations are functions
// below. Comparisons give masks of type vi, with all bits of a lane set if it is true; `mask ? a : b` selects lane by
// lane.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float vf __attribute__((vector_size(4 * kLanes)));
typedef int32_t vi __attribute__((vector_size(4 * kLanes)));

typedef uint16_t vs __attribute__((vector_size(2 * kLanes)));
typedef uint32_t vu __attribute__((vector_size(4 * kLanes)));
typedef uint64_t vq __attribute__((vector_size(4 * kLanes)));

typedef float vf_unaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef int32_t vi_unaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

// x in all lanes. x − 0 is x for every x, also for −0 and NaN, so these compile to plain broadcasts.
SHORTLIST_INLINE vf splat(float x) { return x - vf{}; }
SHORTLIST_INLINE vi splat(int32_t x) { return x - vi{}; }

SHORTLIST_INLINE vf load(const float* from) { return *reinterpret_cast<const vf_unaligned*>(from); }
SHORTLIST_INLINE vi load(const int32_t* from) { return *reinterpret_cast<const vi_unaligned*>(from); }
SHORTLIST_INLINE void store(float* to, vf x) { *reinterpret_cast<vf_unaligned*>(to) = x; }
SHORTLIST_INLINE void store(int32_t* to, vi x) { *reinterpret_cast<vi_unaligned*>(to) = x; }

// Load or store the first `count` < kLanes lanes, without access to the memory after them. Loading sets other lanes to
// 0.
#if defined(__AVX512F__)
SHORTLIST_INLINE __mmask16 first_lanes(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }
SHORTLIST_INLINE vf load_first(const float* from, int64_t count) {
  return (vf)_mm512_maskz_loadu_ps(first_lanes(count), from);
}
SHORTLIST_INLINE vi load_first(const int32_t* from, int64_t count) {
  return (vi)_mm512_maskz_loadu_epi32(first_lanes(count), from);
}
SHORTLIST_INLINE void store_first(float* to, vf x, int64_t count) {
  _mm512_mask_storeu_ps(to, first_lanes(count), (__m512)x);
}
SHORTLIST_INLINE void store_first(int32_t* to, vi x, int64_t count) {
  _mm512_mask_storeu_epi32(to, first_lanes(count), (__m512i)x);
}
#elif defined(__AVX2__)
const int32_t kFirstLanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
SHORTLIST_INLINE __m256i first_lanes(int64_t count) { return (__m256i)load(kFirstLanes + 8 - count); }
SHORTLIST_INLINE vf load_first(const float* from, int64_t count) {
  return (vf)_mm256_maskload_ps(from, first_lanes(count));
}
SHORTLIST_INLINE vi load_first(const int32_t* from, int64_t count) {
  return (vi)_mm256_maskload_epi32(from, first_lanes(count));
}
SHORTLIST_INLINE void store_first(float* to, vf x, int64_t count) {
  _mm256_maskstore_ps(to, first_lanes(count), (__m256)x);
}
SHORTLIST_INLINE void store_first(int32_t* to, vi x, int64_t count) {
  _mm256_maskstore_epi32(to, first_lanes(count), (__m256i)x);
}
#else
SHORTLIST_INLINE vf load_first(const float* from, int64_t count) {
  return vf{count > 0 ? from[0] : 0, count > 1 ? from[1] : 0, count > 2 ? from[2] : 0, 0};
}
SHORTLIST_INLINE vi load_first(const int32_t* from, int64_t count) {
  return vi{count > 0 ? from[0] : 0, count > 1 ? from[1] : 0, count > 2 ? from[2] : 0, 0};
}
SHORTLIST_INLINE void store_first(float* to, vf x, int64_t count) {
  if (count > 0) to[0] = x[0];
  if (count > 1) to[1] = x[1];
  if (count > 2) to[2] = x[2];
}
SHORTLIST_INLINE void store_first(int32_t* to, vi x, int64_t count) {
  if (count > 0) to[0] = x[0];
  if (count > 1) to[1] = x[1];
  if (count > 2) to[2] = x[2];
}
#endif

// Load or store a whole vector if at least kLanes elements are left, else the first `count` lanes.
SHORTLIST_INLINE vf load_upto(const float* from, int64_t count) {
  return count >= kLanes ? load(from) : load_first(from, count);
}
SHORTLIST_INLINE vi load_upto(const int32_t* from, int64_t count) {
  return count >= kLanes ? load(from) : load_first(from, count);
}
SHORTLIST_INLINE void store_upto(float* to, vf x, int64_t count) {
  if (count >= kLanes) {
    store(to, x);
  } else {
    store_first(to, x, count);
  }
}
SHORTLIST_INLINE void store_upto(int32_t* to, vi x, int64_t count) {
  if (count >= kLanes) {
    store(to, x);
  } else {
    store_first(to, x, count);
  }
}

// A compile-time number as a function argument.
template <int number>
struct Fixed {
  static constexpr int value = number;
};

// The number of vectors in the widest strip: so many fit the registers together with a kernel's other values.
constexpr int kStripVectors = kLanes == 16 ? 4 : 8;

// A strip is a few vectors of neighbouring columns, which a kernel keeps in registers. Calls body(Fixed<vectors>,
// column, left) for strips that cover columns [first, last), from left to right. A strip has kStripVectors, 4, 2 or 1
// vectors, as many as fit. Only the last vector may be incomplete: it is a strip of its own, with left < kLanes
// columns.
template <class Body>
SHORTLIST_INLINE void for_each_strip(int64_t first, int64_t last, const Body& body) {
  int64_t c = first;
  for (; c + kStripVectors * kLanes <= last; c += kStripVectors * kLanes) body(Fixed<kStripVectors>(), c, kLanes);
  if (kStripVectors > 4 && c + 4 * kLanes <= last) {
    body(Fixed<4>(), c, kLanes);
    c += 4 * kLanes;
  }
  if (c + 2 * kLanes <= last) {
    body(Fixed<2>(), c, kLanes);
    c += 2 * kLanes;
  }
  for (; c < last; c += kLanes) body(Fixed<1>(), c, last - c);
}

// Load or store vector i of a strip.
template <int vectors>
SHORTLIST_INLINE vf load_strip(const float* from, int i, int64_t left) {
  return vectors > 1 ? load(from + i * kLanes) : load_upto(from, left);
}
template <int vectors>
SHORTLIST_INLINE void store_strip(float* to, int i, vf x, int64_t left) {
  if (vectors > 1) {
    store(to + i * kLanes, x);
  } else {
    store_upto(to, x, left);
  }
}

// Calls body(column, left) for each vector of columns [0, width), from left to right, and unrolls strips. `body` should
// be always_inline: `left` is then a compile-time constant for whole vectors.
template <class Body>
SHORTLIST_INLINE void for_each_vector_in(int64_t width, const Body& body) {
  for_each_strip(
      0, width, [&](auto vectors, int64_t c, int64_t left) __attribute__((always_inline)) {
        const int n = decltype(vectors)::value;
#pragma GCC unroll 8
        for (int i = 0; i < n; ++i) body(c + i * kLanes, n > 1 ? kLanes : left);
      });
}

// Prefetches elements [0, width) of a row, to the L2 cache. For random rows of a large table that is faster than
// prefetching to L1 (23 GB/s against 18 with 256-byte rows of a table of 256 MB; two threads, AVX-512 Xeon). The loop
// is unrolled to four cache lines: with one line a round the mean of such rows was 1.2 times as slow (AVX2, EPYC
// Genoa).
SHORTLIST_INLINE void prefetch_row(const float* row, int64_t width) {
  int64_t c = 0;
  for (; c + 64 <= width; c += 64) {
    __builtin_prefetch(row + c, 0, 2);
    __builtin_prefetch(row + c + 16, 0, 2);
    __builtin_prefetch(row + c + 32, 0, 2);
    __builtin_prefetch(row + c + 48, 0, 2);
  }
  for (; c < width; c += 16) __builtin_prefetch(row + c, 0, 2);
  if (width % 16 > 1) __builtin_prefetch(row + width - 1, 0, 2);  // rows need not begin at the start of a cache line
}

// The first `count` lanes of x, and `rest` in the others.
SHORTLIST_INLINE vf keep_upto(vf x, int64_t count, float rest) {
  for (int lane = 0; count < kLanes && lane < kLanes; ++lane) x[lane] = lane < count ? x[lane] : rest;
  return x;
}

// a·b + c, fused if the instruction set can: compilers contract it by default. No flag relaxes other arithmetic.
SHORTLIST_INLINE vf madd(vf a, vf b, vf c) { return a * b + c; }

// c += a·b, always in c's register, for kernels that fill the registers with sums. In long loop bodies GCC 12 otherwise
// chooses instructions that overwrite a factor, and has to copy and spill registers.
SHORTLIST_INLINE void add_product(vf& c, vf a, vf b) {
#if defined(__FMA__)
  asm("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
#elif defined(__x86_64__)
  asm("mulps %2, %1\n\taddps %1, %0" : "+x"(c), "+x"(a) : "x"(b));
#else
  c = madd(a, b, c);
#endif
}

// c += *a · b. With AVX-512, *a is a memory operand of the multiply-add: no instruction loads it first.
SHORTLIST_INLINE void add_product(vf& c, const float* a, vf b) {
#if defined(__AVX512F__)
  asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(c) : "v"(b), "m"(*a));
#else
  add_product(c, splat(*a), b);
#endif
}

// larger = a > b ? a : b, smaller = a < b ? a : b. If a or b is NaN, the result is b.
#if defined(__AVX512F__)
SHORTLIST_INLINE vf larger(vf a, vf b) { return (vf)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b); }
SHORTLIST_INLINE vf smaller(vf a, vf b) { return (vf)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b); }
#elif defined(__AVX2__)
SHORTLIST_INLINE vf larger(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
SHORTLIST_INLINE vf smaller(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
#elif defined(__x86_64__)
SHORTLIST_INLINE vf larger(vf a, vf b) { return (vf)_mm_max_ps((__m128)a, (__m128)b); }
SHORTLIST_INLINE vf smaller(vf a, vf b) { return (vf)_mm_min_ps((__m128)a, (__m128)b); }
#else
SHORTLIST_INLINE vf larger(vf a, vf b) { return a > b ? a : b; }
SHORTLIST_INLINE vf smaller(vf a, vf b) { return a < b ? a : b; }
#endif

SHORTLIST_INLINE vf bits(vi x) { return (vf)x; }
SHORTLIST_INLINE vi bits(vf x) { return (vi)x; }
// Modulo 2³²; with the operators + and −, signed overflow would be undefined behaviour.
SHORTLIST_INLINE vi wrapping_sum(vi a, vi b) { return (vi)((vu)a + (vu)b); }
SHORTLIST_INLINE vi wrapping_difference(vi a, vi b) { return (vi)((vu)a - (vu)b); }
SHORTLIST_INLINE vf magnitude(vf x) { return bits(bits(x) & 0x7fffffff); }
SHORTLIST_INLINE vi to_int(vf x) { return __builtin_convertvector(x, vi); }
SHORTLIST_INLINE vf to_float(vi x) { return __builtin_convertvector(x, vf); }

SHORTLIST_INLINE vf square_root(vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);  // _mm512_sqrt_ps gives a warning in GCC 12's own header
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__x86_64__)
  return (vf)_mm_sqrt_ps((__m128)x);
#else
  vf root;
  for (int i = 0; i < kLanes; ++i) root[i] = __builtin_sqrtf(x[i]);
  return root;
#endif
}

// 1 / x, within 1 ULP. x and 1 / x must be normal numbers.
SHORTLIST_INLINE vf reciprocal(vf x) {
#if defined(__AVX512F__)
  // An estimate with 14 bits and one step of Newton's method, which doubles them: a tenth of the time of a division.
  const vf estimate = (vf)_mm512_maskz_rcp14_ps(0xffff, (__m512)x);
  return madd(estimate, 1.0f - x * estimate, estimate);
#else
  return 1.0f / x;
#endif
}

// x / y, within 1 ULP, and exactly ±1 if x = ±y. y and 1 / y must be normal numbers.
SHORTLIST_INLINE vf quotient(vf x, vf y) {
#if defined(__AVX512F__)
  const vf inverse = reciprocal(y), estimate = x * inverse;
  return madd(inverse, madd(-estimate, y, x), estimate);
#else
  return x / y;
#endif
}

// Rounds to bfloat16, which is the upper half of a float32: to nearest, ties to even. NaN stays NaN.
SHORTLIST_INLINE vf round_to_bf16(vf x) {
  const vi odd = (bits(x) >> 16) & 1;
  const vf rounded = bits(wrapping_sum(bits(x), odd + 0x7fff) & static_cast<int32_t>(0xffff0000u));
  return x == x ? rounded : x;
}

// Whether products use pairs: two bfloat16 numbers in a 32-bit lane, as operands of dot products.
#if defined(__AVX512BF16__) || defined(SHORTLIST_BF16_DOTS)
constexpr bool kBf16Dots = true;
#else
constexpr bool kBf16Dots = false;
#endif

// Pairs [low, high], lane by lane, both rounded to bfloat16.
SHORTLIST_INLINE vf bf16_pairs(vf low, vf high) {
#if defined(__AVX512BF16__)
  vi lanes;  // indices of 16-bit lanes: `low` has 0 … 15, `high` has 16 … 31
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) lanes[i] = i | (kLanes + i) << 16;
  return (vf)_mm512_permutexvar_epi16((__m512i)lanes, (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low));
#else
  return (vf)((vu)round_to_bf16(low) >> 16 | (vu)round_to_bf16(high));
#endif
}

// Rounds the first `count` lanes of x, at most all, to bfloat16 and stores them in `row`, an array of bfloat16 numbers,
// from index `column` on.
SHORTLIST_INLINE void store_bf16_upto(float* row, int64_t column, vf x, int64_t count) {
#if defined(__AVX512BF16__)
  const vs rounded = (vs)_mm512_cvtneps_pbh((__m512)x);
#else
  const vs rounded = __builtin_convertvector((vu)round_to_bf16(x) >> 16, vs);
#endif
  char* const to = reinterpret_cast<char*>(row) + 2 * column;
  if (count >= kLanes) {
    __builtin_memcpy(to, &rounded, sizeof rounded);
  } else {
    for (int64_t i = 0; i < count; ++i)
      __builtin_memcpy(to + 2 * i, reinterpret_cast<const char*>(&rounded) + 2 * i, 2);
  }
}

// One pair in all lanes. As a float32 it could be a signalling NaN, which arithmetic would change, so it is copied as
// int.
SHORTLIST_INLINE vf splat_pair(const float* from) {
  int32_t pair;
  __builtin_memcpy(&pair, from, sizeof pair);
  return bits(splat(pair));
}

// c += low half of a · low half of b + high half of a · high half of b: one instruction, or two multiply-adds.
SHORTLIST_INLINE void add_dot(vf& c, vf a, vf b) {
#if defined(__AVX512BF16__)
  asm("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
#else
  c = madd((vf)((vu)a << 16), (vf)((vu)b << 16), c);
  c = madd((vf)((vu)a & 0xffff0000u), (vf)((vu)b & 0xffff0000u), c);
#endif
}

// The same for the one pair *a, as a memory operand if possible.
SHORTLIST_INLINE void add_dot(vf& c, const float* a, vf b) {
#if defined(__AVX512BF16__)
  asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(c) : "v"(b), "m"(*a));
#else
  add_dot(c, splat_pair(a), b);
#endif
}

#if defined(__AVX512F__)
// x·2ⁿ for whole n, rounded once.
SHORTLIST_INLINE vf scale_by_power(vf x, vf n) { return (vf)_mm512_maskz_scalef_ps(0xffff, (__m512)x, (__m512)n); }
#endif

// The 64-bit products of the even 32-bit lanes.
SHORTLIST_INLINE vq multiply_even(vu a, vu b) {
#if defined(__AVX512F__)
  return (vq)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (vq)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return (vq)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  vq product;
  for (int i = 0; i < kLanes / 2; ++i) product[i] = uint64_t{a[2 * i]} * b[2 * i];
  return product;
#endif
}

// 0, 1, 2, … in the lanes.
SHORTLIST_INLINE vu lane_numbers() {
  vu lanes;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<uint32_t>(i);
  return lanes;
}

// Selects lanes of a, numbered 0 … kLanes − 1, and of b, numbered kLanes … 2·kLanes − 1.
SHORTLIST_INLINE vf pick_lanes(vf a, vf b, vi lanes) {
#if defined(__clang__)
  vf picked;
  for (int i = 0; i < kLanes; ++i) picked[i] = lanes[i] < kLanes ? a[lanes[i]] : b[lanes[i] - kLanes];
  return picked;
#else
  return __builtin_shuffle(a, b, lanes);
#endif
}

// One round of a transposition: exchanges the two off-diagonal quarters of each 2·kHalf × 2·kHalf block.
template <int kHalf>
SHORTLIST_INLINE void exchange_quarters(vf* row) {
  vi upper, lower;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    const bool right = i / kHalf % 2 == 1;
    upper[i] = right ? kLanes + i - kHalf : i;
    lower[i] = right ? kLanes + i : i + kHalf;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes / 2; ++i) {
    const int r = i / kHalf * 2 * kHalf + i % kHalf;
    const vf a = row[r], b = row[r + kHalf];
    row[r] = pick_lanes(a, b, upper);
    row[r + kHalf] = pick_lanes(a, b, lower);
  }
}

// Transposes kLanes rows: lane j of row i becomes lane i of row j.
SHORTLIST_INLINE void transpose(vf* row) {
  exchange_quarters<1>(row);
  exchange_quarters<2>(row);
  if (kLanes > 4) exchange_quarters<kLanes / 4 < 4 ? kLanes / 2 : 4>(row);
  if (kLanes > 8) exchange_quarters<kLanes / 2>(row);
}

// The lanes of a mask as bits; lane 0 is the lowest bit.
SHORTLIST_INLINE uint32_t lane_bits(vi mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask);
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)mask));
#elif defined(__x86_64__)
  return static_cast<uint32_t>(_mm_movemask_ps((__m128)mask));
#else
  uint32_t bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= (static_cast<uint32_t>(mask[i]) & 1u) << i;
  return bits;
#endif
}

// The sum of all lanes, in a fixed order: the upper half is added to the lower, then the upper quarter, and so on.
SHORTLIST_INLINE float sum_of_lanes(vf x) {
#if defined(__AVX512F__)
  __m256 half[2];
  __builtin_memcpy(half, &x, sizeof half);
  const __m256 eight = _mm256_add_ps(half[0], half[1]);
#elif defined(__AVX2__)
  const __m256 eight = (__m256)x;
#endif
#if defined(__AVX2__)
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#elif defined(__x86_64__)
  const __m128 four = (__m128)x;
#endif
#if defined(__x86_64__)
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
#else
  return (x[0] + x[2]) + (x[1] + x[3]);
#endif
}

SHORTLIST_INLINE float largest_lane(vf x) {
  float best = x[0];
  for (int i = 1; i < kLanes; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
