#pragma once

#include "native/simd/vector.h"

// Elementary functions of vectors, without branches or tables. The result in a lane depends on that lane alone, so the
// tail of a loop (load_first, store_first) gets the same bits as whole vectors. NaN gives NaN.
//
// Domains and limits:
//   exponential         0 for x ≤ −104, +∞ for x ≥ 88.73; denormal results are not flushed to 0
//   logarithm           −∞ for 0, NaN for x < 0, +∞ for +∞; denormal x are allowed
//   logarithm_1p        for x ≥ 0 only
//   sigmoid             1.6·10⁻³⁸ for x < −87, just before results would be denormal
//   hyperbolic_tangent  ±1 for |x| > 9.01, and never beyond ±1

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

// The largest errors in units in the last place (ULP), compared with float64. test/native/math.cc tests them on every
// instruction set.
constexpr float kExponentialUlp = 1.1f;
constexpr float kLogarithmUlp = 0.9f;
constexpr float kLogarithm1pUlp = 1.3f;
constexpr float kSigmoidUlp = 2.5f;
constexpr float kSoftplusUlp = 2.0f;
constexpr float kHyperbolicTangentUlp = 5.9f;

// eˣ for −104 ≤ x ≤ 89, or with kNormal for |x| ≤ 87, where 2ⁿ is a normal number. eˣ = 2ⁿ·eʳ with n = round(x / ln 2)
// and |r| ≤ ln 2 / 2; eʳ is a polynomial of degree 7 (Cephes expf).
template <bool kNormal = false>
SHORTLIST_INLINE vf exponential_in_range(vf x) {
  // Adding 1.5·2²³ rounds the quotient to a whole number, which is then in the low bits.
  const vf shifted = madd(x, splat(1.44269504088896341f), splat(12582912.0f));
  const vf n = shifted - 12582912.0f;
  vf r = madd(n, splat(-0.693359375f), x);
  r = madd(n, splat(2.12194440e-4f), r);
  vf p = splat(1.9875691500e-4f);
  p = madd(p, r, splat(1.3981999507e-3f));
  p = madd(p, r, splat(8.3334519073e-3f));
  p = madd(p, r, splat(4.1665795894e-2f));
  p = madd(p, r, splat(1.6666665459e-1f));
  p = madd(p, r, splat(5.0000001201e-1f));
  p = madd(p, r * r, r) + 1.0f;
#if defined(__AVX512F__)
  return scale_by_power(p, n);
#else
  if (kNormal) return p * bits(wrapping_sum(bits(shifted) << 23, splat(0x3f800000)));  // wraps if x is NaN
  // 2ⁿ as two factors, so that neither overflows nor is denormal for n from −150 to 128.
  const vi exponent = bits(shifted) - 0x4b400000;
  const vi half = exponent >> 1;
  return p * bits((half + 127) << 23) * bits((exponent - half + 127) << 23);
#endif
}

SHORTLIST_INLINE vf exponential(vf x) { return exponential_in_range(larger(splat(-104.0f), smaller(splat(89.0f), x))); }

// ln x = e·ln 2 + ln m with x = m·2ᵉ and m in [√½, √2); ln m = f − f²/2 + f³·P(f) with f = m − 1 (Cephes logf).
SHORTLIST_INLINE vf logarithm(vf x) {
  const vi tiny = x < 1.17549435e-38f;
  const vf scaled = tiny ? x * 8388608.0f : x;
  // The exponent e, for a mantissa in [√½, √2). For x < 0 the differences wrap around; the result is NaN anyway.
  const vi shift = wrapping_difference(bits(scaled), splat(0x3f3504f3)) >> 23;
  const vf f = bits(wrapping_difference(bits(scaled), shift << 23)) - 1.0f;
  const vf e = to_float(shift) - (tiny ? splat(23.0f) : splat(0.0f));
  vf p = splat(7.0376836292e-2f);
  p = madd(p, f, splat(-1.1514610310e-1f));
  p = madd(p, f, splat(1.1676998740e-1f));
  p = madd(p, f, splat(-1.2420140846e-1f));
  p = madd(p, f, splat(1.4249322787e-1f));
  p = madd(p, f, splat(-1.6668057665e-1f));
  p = madd(p, f, splat(2.0000714765e-1f));
  p = madd(p, f, splat(-2.4999993993e-1f));
  p = madd(p, f, splat(3.3333331174e-1f));
  const vf square = f * f;
  vf tail = madd(p * square, f, e * -2.12194440e-4f);
  tail = madd(square, splat(-0.5f), tail);
  vf result = madd(e, splat(0.693359375f), f + tail);
  const vf infinity = splat(__builtin_inff());
  result = x == infinity ? x : result;
  result = x == 0.0f ? -infinity : result;
  return x >= 0.0f ? result : splat(__builtin_nanf(""));
}

// ln(1 + x) for x ≥ 0: the logarithm of the rounded sum, plus a first-order correction for the rounding.
SHORTLIST_INLINE vf logarithm_1p(vf x) {
  const vf sum = 1.0f + x;
  const vf lost = x - (sum - 1.0f);
  const vf result = logarithm(sum) + lost / sum;
  return x == __builtin_inff() ? x : result;
}

// 1 / (1 + e⁻ˣ).
SHORTLIST_INLINE vf sigmoid(vf x) {
  return reciprocal(1.0f + exponential_in_range<true>(-larger(splat(-87.0f), smaller(splat(87.0f), x))));
}

// ln(1 + eˣ) = −ln σ(−x), without overflow.
SHORTLIST_INLINE vf softplus(vf x) { return larger(splat(0.0f), x) + logarithm_1p(exponential(-magnitude(x))); }

// tanh x = x·P(x²)/Q(x²) with P and Q of degree 4 in x². They minimise the largest relative error over |x| ≤ 9.01,
// which is 2·10⁻⁸ before rounding. For larger |x| the quotient exceeds 1, so the result is clamped to ±1; |x| is
// clamped to 9.5, where the quotient exceeds 1 by more than any rounding error. This takes half as many instructions as
// a formula with eˣ, and has the same relative accuracy near 0.
SHORTLIST_INLINE vf hyperbolic_tangent(vf x) {
  x = larger(splat(-9.5f), smaller(splat(9.5f), x));
  const vf square = x * x;
  vf p = madd(splat(1.3336834e-8f), square, splat(2.0596263e-5f));
  p = madd(p, square, splat(3.4948103e-3f));
  p = madd(p, square, splat(1.3380371e-1f));
  p = madd(p, square, splat(0.99999998f));
  vf q = madd(splat(7.7692767e-7f), square, splat(3.2843621e-4f));
  q = madd(q, square, splat(2.5874024e-2f));
  q = madd(q, square, splat(4.6713687e-1f));
  q = madd(q, square, splat(1.0f));
  return larger(splat(-1.0f), smaller(splat(1.0f), x * p * reciprocal(q)));
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
