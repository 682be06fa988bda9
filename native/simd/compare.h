#pragma once

#include "native/simd/vector.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// The lanes in which a is not below b, as bits; those with a NaN count.
SHORTLIST_INLINE uint32_t lanes_not_below(vf a, vf b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_NLT_UQ);
#else
  return lane_bits(~(a < b));
#endif
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
