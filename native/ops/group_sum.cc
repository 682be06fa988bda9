// Sums of consecutive rows.
//
// output[g] = Σ input[r], offsets[g] ≤ r < offsets[g + 1], in row order; 0 for a group without rows      output is =
//
// Groups are as long as they are, so chunks of work are narrow: one group with all the rows is still some chunks.

#include "native/ops/operands.h"
#include "native/simd/vector.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kGroupsPerChunk = 16;
const int64_t kColumnsPerChunk = 64;

enum Input { kInput, kOffsets };

void check_sum(const Call& call) {
  const Tensor& input = call.input(kInput);
  const Tensor& offsets = call.input(kOffsets);
  expect(call, offsets.given && is_shape(call.output(0), offsets.rows - 1, input.columns), "output [groups, input width], offsets given");
  check_offsets(call, offsets, input.rows);
}

void sum(const Call& call) {
  const Tensor& input = call.input(kInput);
  const Tensor& output = call.output(0);
  const int32_t* offsets = call.input(kOffsets).i32();
  const int64_t across = (output.columns + kColumnsPerChunk - 1) / kColumnsPerChunk;
  const int64_t down = (output.rows + kGroupsPerChunk - 1) / kGroupsPerChunk;
  parallel(call, down * across, [&](int64_t chunk) {
    const int64_t first = chunk / across * kGroupsPerChunk, column = chunk % across * kColumnsPerChunk;
    const int64_t last = first + kGroupsPerChunk < output.rows ? first + kGroupsPerChunk : output.rows;
    const int64_t end = column + kColumnsPerChunk < output.columns ? column + kColumnsPerChunk : output.columns;
    for (int64_t g = first; g < last; ++g) {
      for_each_strip(column, end, [&](auto vectors, int64_t c, int64_t left) {
        const int n = decltype(vectors)::value;
        vf total[n] = {};
        for (int64_t r = offsets[g]; r < offsets[g + 1]; ++r) {
          for (int i = 0; i < n; ++i) total[i] += load_strip<n>(input.row(r) + c, i, left);
        }
        for (int i = 0; i < n; ++i) store_strip<n>(output.row(g) + c, i, total[i], left);
      });
    }
  });
}

const char* const kInputs[] = {"input", "offsets", nullptr};
const char* const kOutputs[] = {"output", nullptr};

}  // namespace

extern const Op group_sum = {"group_sum", kInputs, kOutputs, check_sum, sum};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
