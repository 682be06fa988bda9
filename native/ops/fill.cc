// Sets every element of the output to `value`.

#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

void check_fill(const Call& call) { number_attribute(call, "value"); }

void fill_run(const Call& call) {
  const Tensor& output = call.output(0);
  const float value = static_cast<float>(number_attribute(call, "value"));
  for (int64_t r = 0; r < output.rows; ++r) {
    for (int64_t c = 0; c < output.columns; ++c) output.row(r)[c] = value;
  }
}

const SlotType kInputs[] = {kNoSlot};
const SlotType kOutputs[] = {float32("output", kAnyRank), kNoSlot};

}  // namespace

extern const Op fill = {"fill", kInputs, kOutputs, check_fill, fill_run};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
