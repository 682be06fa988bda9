// Tests the largest errors that native/simd/math.h states, compared with float64, for every 499th float32 and for the
// neighbours of special values: `test_math_<isa> [stride]`. A stride of 1 tests every float32. There is one program for
// each instruction set.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "native/core/cpu.h"
#include "test/native/check.h"
#include "test/native/per_isa/math_functions.h"

using namespace shortlist;

namespace {

const int kSkipped = 77;  // SKIP_RETURN_CODE in CMakeLists.txt

struct Exact {
  const char* name;
  double (*of)(double);
  bool from_zero;   // defined for x ≥ 0
  double smallest;  // if the exact result is smaller than this, any result from 0 to this is allowed
};

const Exact kExact[] = {
    {"exponential", [](double x) { return std::exp(x); }, false, 0},
    {"logarithm", [](double x) { return std::log(x); }, false, 0},
    {"logarithm_1p", [](double x) { return std::log1p(x); }, true, 0},
    {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, false, 1.7e-38},
    {"softplus", [](double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }, false, 0},
    {"hyperbolic_tangent", [](double x) { return std::tanh(x); }, false, 0},
};

// The error in units in the last place of `exact`. An overflow counts as 2¹²⁸, which would be the next float32.
double error_in_ulps(float result, double exact) {
  const double infinity = std::numeric_limits<double>::infinity(), past = 0x1p128;
  if (std::isnan(exact)) return std::isnan(result) ? 0 : infinity;
  if (std::isinf(exact)) return result == exact ? 0 : infinity;
  if (std::isnan(result)) return infinity;
  const double bounded = std::fmin(std::fmax(exact, -past), past);
  const double received = std::isinf(result) ? std::copysign(past, result) : result;
  const int exponent = bounded == 0 ? -126 : std::max(std::min(std::ilogb(bounded), 127), -126);
  return std::fabs(received - bounded) / std::ldexp(1.0, exponent - 23);
}

struct Worst {
  double error = 0;
  float x = 0, result = 0;
};

void measure(const MathFunction& function, const Exact& exact, const std::vector<float>& x, Worst* worst) {
  const int64_t count = static_cast<int64_t>(x.size());
  std::vector<float> result(x.size()), shifted(x.size());
  function.run(x.data(), result.data(), count);
  // The same numbers in other lanes, whole vectors and tails exchanged, give the same bits.
  function.run(x.data(), shifted.data(), 1);
  function.run(x.data() + 1, shifted.data() + 1, count - 1);
  CHECK(std::memcmp(result.data(), shifted.data(), x.size() * sizeof(float)) == 0);
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = exact.of(x[i]);
    if (expected < exact.smallest && result[i] >= 0 && result[i] <= exact.smallest) continue;
    const double error = error_in_ulps(result[i], expected);
    if (!(error <= worst->error)) *worst = {error, x[i], result[i]};
  }
}

// Zero, denormals, infinity, NaN and the limits of each function, with both signs and 100 neighbours on each side.
std::vector<float> special_values() {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> values = {std::numeric_limits<float>::quiet_NaN()};
  for (const float edge : {0.0f,    0x1p-149f,   0x1p-126f, 0x1p-24f,    0x1p-12f,
                           0.625f,  0.70710678f, 1.0f,      1.41421356f, 9.02f,
                           17.0f,   44.0f,       87.33655f, 88.0f,       88.72284f,
                           89.0f,   103.97208f,  104.0f,    0x1p24f,     std::numeric_limits<float>::max(),
                           infinity}) {
    float below = edge, above = edge;
    for (int i = 0; i <= 100; ++i) {
      for (const float x : {below, -below, above, -above}) values.push_back(x);
      below = std::nextafter(below, -infinity);
      above = std::nextafter(above, infinity);
    }
  }
  return values;
}

void check_function(const MathFunction& function, const Exact& exact, uint64_t stride) {
  Worst worst;
  std::vector<float> x;
  const auto add = [&](float value) {
    if (!exact.from_zero || !(value < 0)) x.push_back(value);
  };
  for (const float value : special_values()) add(value);
  measure(function, exact, x, &worst);
  for (uint64_t bits = 0; bits < uint64_t{1} << 32;) {
    x.clear();
    for (; x.size() < 4096 && bits < uint64_t{1} << 32; bits += stride) {
      const uint32_t word = static_cast<uint32_t>(bits);
      float value;
      std::memcpy(&value, &word, sizeof value);
      add(value);
    }
    if (!x.empty()) measure(function, exact, x, &worst);
  }
  std::printf("%-20s at most %.3f ulp (stated: %.2f), at %.9g\n", function.name, worst.error,
              double{function.largest_ulp}, double{worst.x});
  if (!(worst.error <= double{function.largest_ulp})) {
    char text[200];
    std::snprintf(text, sizeof text, "%s(%.9g): expected %.9g within %.2f ulp but received %.9g", function.name,
                  double{worst.x}, exact.of(worst.x), double{function.largest_ulp}, double{worst.result});
    report(__FILE__, __LINE__, text);
  }
}

bool is_usable(const char* name) {
  for (const Isa& isa : usable_isas()) {
    if (std::strcmp(isa.name, name) == 0) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (!is_usable(MATH_ISA)) return kSkipped;
  const uint64_t stride = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 499;
  CHECK(stride > 0);
  size_t count = 0;
  for (const MathFunction* function = math_functions; function->name != nullptr && stride > 0; ++function, ++count) {
    for (const Exact& exact : kExact) {
      if (std::strcmp(exact.name, function->name) == 0) check_function(*function, exact, stride);
    }
  }
  CHECK(count == sizeof kExact / sizeof *kExact);
  return failures() > 0;
}
