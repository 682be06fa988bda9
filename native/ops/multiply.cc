// output = left · right, elementwise. The output is overwritten and may be left or right.

#include "native/ops/elementwise.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

void check_multiply(const Call& call) {
  expect(call, same_shape(call.input(0), call.input(1)), "left and right of one shape");
  expect(call, same_shape(call.input(0), call.output(0)), "output of left's shape");
}

void multiply_run(const Call& call) {
  const Tensor& left = call.input(0);
  const Tensor& right = call.input(1);
  const Tensor& output = call.output(0);
  for_each_vector(call, output, is_flat(left) && is_flat(right) && is_flat(output),
                  [&](int64_t r, int64_t c, int64_t n) {
                    store_upto(output.row(r) + c, load_upto(left.row(r) + c, n) * load_upto(right.row(r) + c, n), n);
                  });
}

const SlotType kInputs[] = {float32("left", kAnyRank), float32("right", kAnyRank), kNoSlot};
const SlotType kOutputs[] = {float32("output", kAnyRank), kNoSlot};

}  // namespace

extern const Op multiply = {"multiply", kInputs, kOutputs, check_multiply, multiply_run};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
