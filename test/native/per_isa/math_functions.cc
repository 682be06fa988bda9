#include "test/native/per_isa/math_functions.h"

#include "native/simd/math.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

template <class Function>
SHORTLIST_INLINE void map(const float* from, float* to, int64_t count, const Function& function) {
  for (int64_t i = 0; i < count; i += kLanes) store_upto(to + i, function(load_upto(from + i, count - i)), count - i);
}

}  // namespace
}  // namespace SHORTLIST_ISA

#define MATH_FUNCTION(name, largest_ulp) \
  {                                      \
#name, \
        [](const float* from, float* to, int64_t count) { \
          SHORTLIST_ISA::map(from, to, count, [](SHORTLIST_ISA::vf x) { return SHORTLIST_ISA::name(x); }); \
        }, \
        SHORTLIST_ISA::largest_ulp                                 \
  }

extern const MathFunction math_functions[] = {
    MATH_FUNCTION(exponential, kExponentialUlp),
    MATH_FUNCTION(logarithm, kLogarithmUlp),
    MATH_FUNCTION(logarithm_1p, kLogarithm1pUlp),
    MATH_FUNCTION(sigmoid, kSigmoidUlp),
    MATH_FUNCTION(softplus, kSoftplusUlp),
    MATH_FUNCTION(hyperbolic_tangent, kHyperbolicTangentUlp),
    {nullptr, nullptr, 0},
};

}  // namespace shortlist
