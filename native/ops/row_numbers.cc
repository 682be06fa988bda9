// Consecutive numbers, as many as `like` has rows: output[i] = first + i.

#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

void check_numbers(const Call& call) {
  expect(call, is_shape(call.output(0), call.input(0).rows, 1), "output [like's rows]");
  promise_consecutive(call.output(0), whole_attribute(call, "first", 0, INT32_MAX - call.input(0).rows));
}

void numbers(const Call& call) {
  int32_t* output = call.output(0).i32();
  const int32_t first = static_cast<int32_t>(number_attribute(call, "first"));
  for (int64_t i = 0; i < call.output(0).rows; ++i) output[i] = first + static_cast<int32_t>(i);
}

const SlotType kInputs[] = {int32("like", 1), kNoSlot};
const SlotType kOutputs[] = {int32("output", 1), kNoSlot};

}  // namespace

extern const Op row_numbers = {"row_numbers", kInputs, kOutputs, check_numbers, numbers};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
