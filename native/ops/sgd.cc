// Stochastic gradient descent: θ −= η·g, in place. sgd_rows updates the rows that the batch used (row_terms.h).

#include "native/ops/elementwise.h"
#include "native/ops/row_terms.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum Input { kParameter, kGradient, kLearningRate };
enum RowsInput { kFirstRowSlot = 1, kRowsLearningRate = kFirstRowSlot + kRowSlots };

SHORTLIST_INLINE void update(float* parameter, const float* gradient, vf rate, int64_t left) {
  store_upto(parameter, load_upto(parameter, left) - rate * load_upto(gradient, left), left);
}

void check_dense(const Call& call) {
  expect(call, same_shape(call.input(kParameter), call.input(kGradient)), "gradient of parameter's shape");
  expect(call, same_shape(call.input(kParameter), call.output(0)), "output of parameter's shape");
}

void dense(const Call& call) {
  const Tensor& parameter = call.output(0);
  const Tensor& gradient = call.input(kGradient);
  const vf rate = splat(call.input(kLearningRate).f32()[0]);
  for_each_vector(call, parameter, is_flat(parameter) && is_flat(gradient), [&](int64_t r, int64_t c, int64_t left) {
    update(parameter.row(r) + c, gradient.row(r) + c, rate, left);
  });
}

void check_rows(const Call& call) {
  expect(call, same_shape(call.input(kParameter), call.output(0)), "output of parameter's shape");
  check_row_terms(call, kFirstRowSlot, call.input(kParameter));
}

void rows(const Call& call) {
  const Tensor& parameter = call.output(0);
  const vf rate = splat(call.input(kRowsLearningRate).f32()[0]);
  for_each_row(call, kFirstRowSlot, {&parameter}, [&](int64_t row, const float* gradient) {
    float* const p = parameter.row(row);
    for_each_vector_in(
        parameter.columns, [&](int64_t c, int64_t left)
                               __attribute__((always_inline)) { update(p + c, gradient + c, rate, left); });
  });
}

const SlotType kDenseInputs[] = {float32("parameter", kAnyRank), float32("gradient", kAnyRank),
                                 float32("learning_rate", 0), kNoSlot};
const SlotType kRowsInputs[] = {float32("parameter", kAnyRank), SHORTLIST_ROW_TERM_SLOTS, float32("learning_rate", 0),
                                kNoSlot};
const SlotType kOutputs[] = {float32("parameter", kAnyRank), kNoSlot};

}  // namespace

extern const Op sgd = {"sgd", kDenseInputs, kOutputs, check_dense, dense};
extern const Op sgd_rows = {"sgd_rows", kRowsInputs, kOutputs, check_rows, rows};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
