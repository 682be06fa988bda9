// Clips gradients by their joint norm (Pascanu, Mikolov & Bengio 2013).
//
// n = √Σ gᵢ² over the elements of all gradients; output = gradient · min(1, limit / n). If n is NaN, gradients are not
// changed. Each output is overwritten and may be its gradient.
//
// Squares are summed in float64, within blocks and then over the blocks in order, so the bits do not depend on the
// number of threads.

#include "native/ops/elementwise.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kElementsPerSum = 8192;  // the order of the sum, and so its bits, depend on it

int64_t rows_per_block(const Tensor& gradient) { return rows_with_elements(kElementsPerSum, gradient.columns); }

void check_clip(const Call& call) {
  const Slot& gradients = call.inputs[0];
  expect(call, gradients.count == call.outputs[0].count, "an output for each gradient");
  for (int32_t i = 0; i < gradients.count; ++i) {
    expect(call, same_shape(gradients.tensors[i], call.outputs[0].tensors[i]), "outputs of the gradients' shapes");
  }
  expect(call, number_attribute(call, "limit") > 0, "a limit above 0");
}

double sum_of_squares(const Call& call, const Tensor& gradient, double* sums) {
  const int64_t block = rows_per_block(gradient);
  parallel_blocks(call, gradient.rows, block, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t r = begin; r < end; ++r) {
      const float* row = gradient.row(r);
      for (int64_t c = 0; c < gradient.columns; ++c) sum += static_cast<double>(row[c]) * static_cast<double>(row[c]);
    }
    sums[begin / block] = sum;
  });
  double total = 0;
  for (int64_t first = 0; first < gradient.rows; first += block) total += sums[first / block];
  return total;
}

void clip(const Call& call) {
  const Slot& gradients = call.inputs[0];
  int64_t most = 1;  // the largest number of blocks of a gradient
  for (int32_t i = 0; i < gradients.count; ++i) {
    const int64_t blocks = gradients.tensors[i].rows / rows_per_block(gradients.tensors[i]) + 1;
    most = blocks > most ? blocks : most;
  }
  double* sums = static_cast<double*>(scratch(call, 2 * most));
  double squares = 0;
  for (int32_t i = 0; i < gradients.count; ++i) squares += sum_of_squares(call, gradients.tensors[i], sums);
  const double norm = __builtin_sqrt(squares), limit = number_attribute(call, "limit");
  const vf scale = splat(norm > limit ? static_cast<float>(limit / norm) : 1.0f);
  for (int32_t i = 0; i < gradients.count; ++i) {
    const Tensor& gradient = gradients.tensors[i];
    const Tensor& output = call.outputs[0].tensors[i];
    for_each_vector(call, output, is_flat(gradient) && is_flat(output), [&](int64_t r, int64_t c, int64_t left) {
      store_upto(output.row(r) + c, scale * load_upto(gradient.row(r) + c, left), left);
    });
  }
}

const SlotType kInputs[] = {list(float32("gradient", kAnyRank)), kNoSlot};
const SlotType kOutputs[] = {list(float32("output", kAnyRank)), kNoSlot};

}  // namespace

extern const Op clip_gradients = {"clip_gradients", kInputs, kOutputs, check_clip, clip};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
