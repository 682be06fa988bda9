// Adam (Kingma & Ba 2015, algorithm 1), in place, t = step + 1:
//   m = β₁m + (1 − β₁)g;  v = β₂v + (1 − β₂)g²;  θ −= η · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)
// adam_rows updates the rows that the batch used (row_terms.h); the moments of other rows do not decay.

#include "native/ops/elementwise.h"
#include "native/ops/row_terms.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum Input { kParameter, kFirstMoment, kSecondMoment, kGradient, kLearningRate, kStep };
enum RowsInput { kFirstRowSlot = 3, kRowsLearningRate = kFirstRowSlot + kRowSlots, kRowsStep };

struct Rule {
  vf rate;        // η / (1 − β₁ᵗ)
  vf root_scale;  // 1 / (1 − β₂ᵗ)
  vf beta1, rest1;
  vf beta2, rest2;
  vf epsilon;

  SHORTLIST_INLINE void update(float* parameter, float* first, float* second, const float* gradient,
                               int64_t left) const {
    const vf g = load_upto(gradient, left);
    const vf m = madd(beta1, load_upto(first, left), rest1 * g);
    const vf v = madd(beta2, load_upto(second, left), rest2 * g * g);
    store_upto(first, m, left);
    store_upto(second, v, left);
    store_upto(parameter, load_upto(parameter, left) - rate * m / (square_root(v * root_scale) + epsilon), left);
  }
};

Rule rule_of(const Call& call, const Tensor& learning_rate, const Tensor& step) {
  const double beta1 = number_attribute(call, "beta1"), beta2 = number_attribute(call, "beta2");
  const double t = static_cast<double>(step.u32()[0]) + 1;
  const auto number = [](double x) { return splat(static_cast<float>(x)); };
  return {number(static_cast<double>(learning_rate.f32()[0]) / (1 - __builtin_pow(beta1, t))),
          number(1 / (1 - __builtin_pow(beta2, t))),
          number(beta1),
          number(1 - beta1),
          number(beta2),
          number(1 - beta2),
          number(number_attribute(call, "epsilon"))};
}

void check_state(const Call& call) {
  const Tensor& parameter = call.input(kParameter);
  expect(call, same_shape(parameter, call.input(kFirstMoment)) && same_shape(parameter, call.input(kSecondMoment)),
         "moments of parameter's shape");
  for (int i = 0; i < 3; ++i) expect(call, same_shape(parameter, call.output(i)), "outputs of parameter's shape");
  number_attribute(call, "beta1");
  number_attribute(call, "beta2");
  number_attribute(call, "epsilon");
}

void check_dense(const Call& call) {
  check_state(call);
  expect(call, same_shape(call.input(kParameter), call.input(kGradient)), "gradient of parameter's shape");
}

void dense(const Call& call) {
  const Tensor& parameter = call.output(0);
  const Tensor& first = call.output(1);
  const Tensor& second = call.output(2);
  const Tensor& gradient = call.input(kGradient);
  const Rule rule = rule_of(call, call.input(kLearningRate), call.input(kStep));
  const bool flat = is_flat(parameter) && is_flat(first) && is_flat(second) && is_flat(gradient);
  for_each_vector(call, parameter, flat, [&](int64_t r, int64_t c, int64_t left) {
    rule.update(parameter.row(r) + c, first.row(r) + c, second.row(r) + c, gradient.row(r) + c, left);
  });
}

void check_rows(const Call& call) {
  check_state(call);
  check_row_terms(call, kFirstRowSlot, call.input(kParameter));
}

void rows(const Call& call) {
  const Tensor& parameter = call.output(0);
  const Tensor& first = call.output(1);
  const Tensor& second = call.output(2);
  const Rule rule = rule_of(call, call.input(kRowsLearningRate), call.input(kRowsStep));
  for_each_row(call, kFirstRowSlot, {&parameter, &first, &second}, [&](int64_t row, const float* gradient) {
    float* const p = parameter.row(row);
    float* const m = first.row(row);
    float* const v = second.row(row);
    for_each_vector_in(
        parameter.columns, [&](int64_t c, int64_t left) __attribute__((always_inline)) {
          rule.update(p + c, m + c, v + c, gradient + c, left);
        });
  });
}

const SlotType kDenseInputs[] = {float32("parameter", kAnyRank),
                                 float32("first_moment", kAnyRank),
                                 float32("second_moment", kAnyRank),
                                 float32("gradient", kAnyRank),
                                 float32("learning_rate", 0),
                                 uint32("step", 0),
                                 kNoSlot};
const SlotType kRowsInputs[] = {float32("parameter", kAnyRank),
                                float32("first_moment", kAnyRank),
                                float32("second_moment", kAnyRank),
                                SHORTLIST_ROW_TERM_SLOTS,
                                float32("learning_rate", 0),
                                uint32("step", 0),
                                kNoSlot};
const SlotType kOutputs[] = {float32("parameter", kAnyRank), float32("first_moment", kAnyRank),
                             float32("second_moment", kAnyRank), kNoSlot};

}  // namespace

extern const Op adam = {"adam", kDenseInputs, kOutputs, check_dense, dense};
extern const Op adam_rows = {"adam_rows", kRowsInputs, kOutputs, check_rows, rows};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
