// The last row of each range.
//
// forward   output[s] = input[end[s] − 1]; 0 for an empty range
// gradient  input_gradient[end[s] − 1] = Σ_s output_gradient[s] in sample order; other rows are 0
//
// Outputs are overwritten. Nothing aliases.
//
// In most batches the ranges end at rising rows, because samples are prefixes of one sequence, or belong to consecutive
// sequences. The gradient then runs on all threads: each block of samples clears and writes the rows up to its ends.
// Otherwise one thread adds the samples in order.

#include "native/ops/row_units.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kSamplesPerBlock = 64;

enum Input { kInput, kStart, kEnd };

void check_forward(const Call& call) {
  const Tensor& input = call.input(kInput);
  const int64_t samples = call.input(kStart).rows;
  expect(call, call.input(kEnd).rows == samples, "as many ends as starts");
  expect(call, is_shape(call.output(0), samples, input.columns), "output [samples, input width]");
  check_ranges(call, call.input(kStart), call.input(kEnd), input.rows);
}

void forward(const Call& call) {
  const Tensor& input = call.input(kInput);
  const Tensor& output = call.output(0);
  const int32_t* start = call.input(kStart).i32();
  const int32_t* end = call.input(kEnd).i32();
  parallel_blocks(call, output.rows, kSamplesPerBlock, [&](int64_t first, int64_t last) {
    for (int64_t s = first; s < last; ++s) {
      const bool some = start[s] < end[s];
      const float* from = input.row(some ? end[s] - 1 : 0);
      for (int64_t c = 0; c < output.columns; c += kLanes) {
        const int64_t left = output.columns - c;
        store_upto(output.row(s) + c, some ? load_upto(from + c, left) : vf{}, left);
      }
    }
  });
}

enum GradientInput { kOutputGradient, kGradientStart, kGradientEnd, kLike };

void check_gradient(const Call& call) {
  const Tensor& output_gradient = call.input(kOutputGradient);
  const int64_t samples = call.input(kGradientStart).rows;
  expect(call, call.input(kGradientEnd).rows == samples, "as many ends as starts");
  expect(call, is_shape(output_gradient, samples, call.input(kLike).columns), "output_gradient [samples, input width]");
  expect(call, same_shape(call.output(0), call.input(kLike)), "input_gradient of input's shape");
  check_ranges(call, call.input(kGradientStart), call.input(kGradientEnd), call.input(kLike).rows);
}

void gradient(const Call& call) {
  const Tensor& output_gradient = call.input(kOutputGradient);
  const Tensor& input_gradient = call.output(0);
  const int32_t* start = call.input(kGradientStart).i32();
  const int32_t* end = call.input(kGradientEnd).i32();
  const int64_t samples = output_gradient.rows, columns = input_gradient.columns;
  bool rising = samples > 0;
  for (int64_t s = 0; s < samples; ++s) rising = rising && start[s] < end[s] && (s == 0 || end[s - 1] < end[s]);
  if (!rising) {
    clear_rows(input_gradient, 0, input_gradient.rows, 0, columns);
    for (int64_t s = 0; s < samples; ++s) {
      if (start[s] == end[s]) continue;
      float* to = input_gradient.row(end[s] - 1);
      for (int64_t c = 0; c < columns; c += kLanes) {
        const int64_t left = columns - c;
        store_upto(to + c, load_upto(to + c, left) + load_upto(output_gradient.row(s) + c, left), left);
      }
    }
    return;
  }
  parallel_blocks(call, samples, kSamplesPerBlock, [&](int64_t first, int64_t last) {
    for (int64_t s = first; s < last; ++s) {
      clear_rows(input_gradient, s == 0 ? 0 : end[s - 1], end[s] - 1, 0, columns);
      for (int64_t c = 0; c < columns; c += kLanes) {
        const int64_t left = columns - c;
        store_upto(input_gradient.row(end[s] - 1) + c, load_upto(output_gradient.row(s) + c, left), left);
      }
    }
    if (last == samples) clear_rows(input_gradient, end[samples - 1], input_gradient.rows, 0, columns);
  });
}

const SlotType kForwardInputs[] = {float32("input", 2), int32("start", 1), int32("end", 1), kNoSlot};
const SlotType kForwardOutputs[] = {float32("output", 2), kNoSlot};
const SlotType kGradientInputs[] = {float32("output_gradient", 2), int32("start", 1), int32("end", 1),
                                    float32("input", 2), kNoSlot};
const SlotType kGradientOutputs[] = {float32("input_gradient", 2), kNoSlot};

}  // namespace

extern const Op range_last = {"range_last", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op range_last_gradient = {"range_last_gradient", kGradientInputs, kGradientOutputs, check_gradient,
                                       gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
