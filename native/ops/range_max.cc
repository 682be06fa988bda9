// Maximum over ranges of rows, per column.
//
// forward   output[s, c] = max input[r, c] over start[s] ≤ r < end[s], index[s, c] the first r that has it; an empty
//           range gives 0 and −1. A NaN at a range's start stays, later ones lose (as in src/ops/range_max.ts).
// gradient  input_gradient[index[s, c], c] = Σ_s output_gradient[s, c] in sample order, 0 elsewhere.
//           All outputs are =, alias nothing.
//
// Forward: a strip of columns stays in registers while the rows pass. Samples of one run are prefixes of it, so a sample
// that starts where the one before it does and ends no earlier goes on from that one's maximum. The gradient splits
// columns among the threads: samples share rows, and each element is summed by one thread in sample order.

#include "native/ops/operands.h"
#include "native/simd/vector.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kSamplesPerBlock = 32;
const int64_t kColumnsPerBlock = 16;

enum Input { kInput, kStart, kEnd };

void check_forward(const Call& call) {
  const Tensor& input = call.input(kInput);
  const int64_t samples = call.input(kStart).rows;
  expect(call, call.input(kEnd).rows == samples, "as many ends as starts");
  expect(call, is_shape(call.output(0), samples, input.columns), "output [samples, input width]");
  expect(call, is_shape(call.output(1), samples, input.columns), "index [samples, input width]");
  check_ranges(call, call.input(kStart), call.input(kEnd), input.rows);
}

void forward(const Call& call) {
  const Tensor& input = call.input(kInput);
  const Tensor& output = call.output(0);
  const Tensor& index = call.output(1);
  const int32_t* start = call.input(kStart).i32();
  const int32_t* end = call.input(kEnd).i32();
  const int64_t width = input.columns;
  parallel_blocks(call, output.rows, kSamplesPerBlock, [&](int64_t first, int64_t last) {
    for (int64_t c = 0; c < width; c += kLanes) {
      const int64_t left = width - c;
      vf best = vf{};
      vi from = splat(-1);
      for (int64_t s = first; s < last; ++s) {
        int64_t r = start[s];
        if (s > first && start[s] == start[s - 1] && end[s] >= end[s - 1] && end[s - 1] > start[s]) {
          r = end[s - 1];
        } else if (r < end[s]) {
          best = load_upto(input.row(r) + c, left);
          from = splat(static_cast<int32_t>(r));
          ++r;
        } else {
          best = vf{};
          from = splat(-1);
        }
        for (; r < end[s]; ++r) {
          const vf value = load_upto(input.row(r) + c, left);
          const vi higher = value > best;
          best = higher ? value : best;
          from = higher ? splat(static_cast<int32_t>(r)) : from;
        }
        store_upto(output.row(s) + c, best, left);
        store_upto(index.i32() + s * index.stride + c, from, left);
      }
    }
  });
}

enum GradientInput { kOutputGradient, kIndex, kLike };

void check_gradient(const Call& call) {
  expect(call, same_shape(call.input(kOutputGradient), call.input(kIndex)), "output_gradient of index's shape");
  expect(call, call.input(kIndex).columns == call.input(kLike).columns, "index as wide as input");
  expect(call, same_shape(call.output(0), call.input(kLike)), "input_gradient of input's shape");
  check_ids(call, call.input(kIndex), call.input(kLike).rows, -1);
}

void gradient(const Call& call) {
  const Tensor& output_gradient = call.input(kOutputGradient);
  const Tensor& index = call.input(kIndex);
  const Tensor& input_gradient = call.output(0);
  parallel_blocks(call, input_gradient.columns, kColumnsPerBlock, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < input_gradient.rows; ++r) {
      for (int64_t c = begin; c < end; ++c) input_gradient.row(r)[c] = 0;
    }
    for (int64_t s = 0; s < index.rows; ++s) {
      const int32_t* to = index.i32() + s * index.stride;
      const float* from = output_gradient.row(s);
      for (int64_t c = begin; c < end; ++c) {
        if (to[c] >= 0) input_gradient.row(to[c])[c] += from[c];
      }
    }
  });
}

const char* const kForwardInputs[] = {"input", "start", "end", nullptr};
const char* const kForwardOutputs[] = {"output", "index", nullptr};
const char* const kGradientInputs[] = {"output_gradient", "index", "input", nullptr};
const char* const kGradientOutputs[] = {"input_gradient", nullptr};

}  // namespace

extern const Op range_max = {"range_max", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op range_max_gradient = {"range_max_gradient", kGradientInputs, kGradientOutputs, check_gradient, gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
