#pragma once

#include "native/simd/vector.h"

// Products of numbers of 8 and 16 bits.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// Loads 2·kLanes numbers of 8 bits, as pairs of 16-bit numbers in the lanes.
SHORTLIST_INLINE vi load_int8_pairs(const int8_t* from) {
#if defined(__AVX512BW__)
  return (vi)_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__AVX2__)
  return (vi)_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__x86_64__)
  return (vi)_mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  typedef int8_t bytes __attribute__((vector_size(2 * kLanes)));
  typedef int16_t halves __attribute__((vector_size(4 * kLanes)));
  bytes loaded;
  __builtin_memcpy(&loaded, from, sizeof loaded);
  return (vi) __builtin_convertvector(loaded, halves);
#endif
}

// sum + low half of a · low half of b + high half of a · high half of b, lane by lane, for signed 16-bit halves. The
// result must fit 32 bits.
SHORTLIST_INLINE vi add_pair_products(vi sum, vi a, vi b) {
#if defined(__AVX512VNNI__)
  return (vi)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVX512BW__)
  return sum + (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return sum + (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return sum + (vi)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
  return sum + ((vi)((vu)a << 16) >> 16) * ((vi)((vu)b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
