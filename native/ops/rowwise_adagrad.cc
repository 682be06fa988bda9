// AdaGrad with one element of state for each row (FBGEMM's row-wise AdaGrad), in place, for the rows that the batch
// used (row_terms.h): a += mean of g² over the row; θ −= η·g / (√a + ε).

#include "native/ops/row_terms.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum Input { kParameter, kAccumulator, kFirstRowSlot, kLearningRate = kFirstRowSlot + kRowSlots };

void check_update(const Call& call) {
  const Tensor& parameter = call.input(kParameter);
  expect(call, is_shape(call.input(kAccumulator), parameter.rows, 1), "accumulator [rows]");
  expect(call, same_shape(parameter, call.output(0)) && is_shape(call.output(1), parameter.rows, 1),
         "outputs of the shapes of parameter and accumulator");
  number_attribute(call, "epsilon");
  check_row_terms(call, kFirstRowSlot, parameter);
}

void update(const Call& call) {
  const Tensor& parameter = call.output(0);
  float* accumulator = call.output(1).f32();
  const float rate = call.input(kLearningRate).f32()[0];
  const vf epsilon = splat(static_cast<float>(number_attribute(call, "epsilon")));
  const int64_t width = parameter.columns;
  for_each_row(call, kFirstRowSlot, {&parameter}, [&](int64_t row, const float* gradient) {
    vf squares = vf{};
    for_each_vector_in(
        width, [&](int64_t c, int64_t left) __attribute__((always_inline)) {
          const vf g = load_upto(gradient + c, left);
          squares = madd(g, g, squares);
        });
    accumulator[row] += sum_of_lanes(squares) / static_cast<float>(width);
    const vf root = square_root(splat(accumulator[row])) + epsilon;
    float* const p = parameter.row(row);
    for_each_vector_in(
        width, [&](int64_t c, int64_t left) __attribute__((always_inline)) {
          store_upto(p + c, load_upto(p + c, left) - rate * load_upto(gradient + c, left) / root, left);
        });
  });
}

const SlotType kInputs[] = {float32("parameter", kAnyRank), float32("accumulator", 1), SHORTLIST_ROW_TERM_SLOTS,
                            float32("learning_rate", 0), kNoSlot};
const SlotType kOutputs[] = {float32("parameter", kAnyRank), float32("accumulator", 1), kNoSlot};

}  // namespace

extern const Op rowwise_adagrad_rows = {"rowwise_adagrad_rows", kInputs, kOutputs, check_update, update};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
