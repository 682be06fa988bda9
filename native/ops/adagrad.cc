// AdaGrad (Duchi, Hazan & Singer 2011), in place: a += g²; θ −= η·g / (√a + ε), or η·g / √(a + ε) with epsilon_inside.
// adagrad_rows updates the rows that the batch used (row_terms.h). Other rows have g = 0, so they do not change.

#include "native/ops/elementwise.h"
#include "native/ops/row_terms.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum Input { kParameter, kAccumulator, kGradient, kLearningRate };
enum RowsInput { kFirstRowSlot = 2, kRowsLearningRate = kFirstRowSlot + kRowSlots };

struct Rule {
  vf rate;
  vf inside;   // added to a
  vf outside;  // added to √a

  SHORTLIST_INLINE void update(float* parameter, float* accumulator, const float* gradient, int64_t left) const {
    const vf g = load_upto(gradient, left);
    const vf a = madd(g, g, load_upto(accumulator, left));
    store_upto(accumulator, a, left);
    // In lanes past the end a is 0; their quotient may be NaN and is not stored.
    store_upto(parameter, load_upto(parameter, left) - rate * g / (square_root(a + inside) + outside), left);
  }
};

Rule rule_of(const Call& call, const Tensor& learning_rate) {
  const vf epsilon = splat(static_cast<float>(number_attribute(call, "epsilon")));
  const bool inside = flag_attribute(call, "epsilon_inside");
  return {splat(learning_rate.f32()[0]), inside ? epsilon : vf{}, inside ? vf{} : epsilon};
}

void check_state(const Call& call) {
  expect(call, same_shape(call.input(kParameter), call.input(kAccumulator)), "accumulator of parameter's shape");
  expect(call, same_shape(call.input(kParameter), call.output(0)) && same_shape(call.input(kParameter), call.output(1)),
         "outputs of parameter's shape");
  number_attribute(call, "epsilon");
  flag_attribute(call, "epsilon_inside");
}

void check_dense(const Call& call) {
  check_state(call);
  expect(call, same_shape(call.input(kParameter), call.input(kGradient)), "gradient of parameter's shape");
}

void dense(const Call& call) {
  const Tensor& parameter = call.output(0);
  const Tensor& accumulator = call.output(1);
  const Tensor& gradient = call.input(kGradient);
  const Rule rule = rule_of(call, call.input(kLearningRate));
  const bool flat = is_flat(parameter) && is_flat(accumulator) && is_flat(gradient);
  for_each_vector(call, parameter, flat, [&](int64_t r, int64_t c, int64_t left) {
    rule.update(parameter.row(r) + c, accumulator.row(r) + c, gradient.row(r) + c, left);
  });
}

void check_rows(const Call& call) {
  check_state(call);
  check_row_terms(call, kFirstRowSlot, call.input(kParameter));
}

void rows(const Call& call) {
  const Tensor& parameter = call.output(0);
  const Tensor& accumulator = call.output(1);
  const Rule rule = rule_of(call, call.input(kRowsLearningRate));
  for_each_row(call, kFirstRowSlot, {&parameter, &accumulator}, [&](int64_t row, const float* gradient) {
    float* const p = parameter.row(row);
    float* const a = accumulator.row(row);
    for_each_vector_in(
        parameter.columns, [&](int64_t c, int64_t left)
                               __attribute__((always_inline)) { rule.update(p + c, a + c, gradient + c, left); });
  });
}

const SlotType kDenseInputs[] = {float32("parameter", kAnyRank), float32("accumulator", kAnyRank),
                                 float32("gradient", kAnyRank), float32("learning_rate", 0), kNoSlot};
const SlotType kRowsInputs[] = {float32("parameter", kAnyRank), float32("accumulator", kAnyRank),
                                SHORTLIST_ROW_TERM_SLOTS, float32("learning_rate", 0), kNoSlot};
const SlotType kOutputs[] = {float32("parameter", kAnyRank), float32("accumulator", kAnyRank), kNoSlot};

}  // namespace

extern const Op adagrad = {"adagrad", kDenseInputs, kOutputs, check_dense, dense};
extern const Op adagrad_rows = {"adagrad_rows", kRowsInputs, kOutputs, check_rows, rows};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
