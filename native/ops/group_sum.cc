// Sums of consecutive rows.
//
// output[g] = Σ input[r], offsets[g] ≤ r < offsets[g + 1], in row order; 0 for a group without rows      output is =

#include "native/ops/range_sums.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum Input { kInput, kOffsets };

void check_sum(const Call& call) {
  const Tensor& input = call.input(kInput);
  const Tensor& offsets = call.input(kOffsets);
  expect(call, offsets.given && is_shape(call.output(0), offsets.rows - 1, input.columns), "output [groups, input width], offsets given");
  check_offsets(call, offsets, input.rows);
}

void sum(const Call& call) { sum_ranges(call, call.input(kInput), call.input(kOffsets).i32(), call.output(0)); }

const char* const kInputs[] = {"input", "offsets", nullptr};
const char* const kOutputs[] = {"output", nullptr};

}  // namespace

extern const Op group_sum = {"group_sum", kInputs, kOutputs, check_sum, sum};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
