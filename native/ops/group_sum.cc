// Sums of the rows of each group: output[g] = Σ input[r] over offsets[g] ≤ r < offsets[g + 1], in row order; 0 for a
// group without rows. The output is overwritten.

#include "native/ops/range_sums.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum Input { kInput, kOffsets };

void check_sum(const Call& call) {
  const Tensor& input = call.input(kInput);
  const Tensor& offsets = call.input(kOffsets);
  expect(call, is_shape(call.output(0), offsets.rows - 1, input.columns), "output [groups, input width]");
  check_offsets(call, offsets, input.rows);
}

void sum(const Call& call) { sum_ranges(call, call.input(kInput), call.input(kOffsets).i32(), call.output(0)); }

const SlotType kInputs[] = {float32("input", 2), int32("offsets", 1), kNoSlot};
const SlotType kOutputs[] = {float32("output", 2), kNoSlot};

}  // namespace

extern const Op group_sum = {"group_sum", kInputs, kOutputs, check_sum, sum};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
