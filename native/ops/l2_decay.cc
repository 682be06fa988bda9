// L2 regularisation: output = gradient + l2 · parameter. The output is overwritten and may be the gradient.

#include "native/ops/elementwise.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum Input { kGradient, kParameter };

void check_decay(const Call& call) {
  expect(call, same_shape(call.input(kGradient), call.input(kParameter)), "gradient of parameter's shape");
  expect(call, same_shape(call.output(0), call.input(kParameter)), "output of parameter's shape");
  number_attribute(call, "l2");
}

void decay(const Call& call) {
  const Tensor& gradient = call.input(kGradient);
  const Tensor& parameter = call.input(kParameter);
  const Tensor& output = call.output(0);
  const vf l2 = splat(static_cast<float>(number_attribute(call, "l2")));
  for_each_vector(call, output, is_flat(gradient) && is_flat(parameter) && is_flat(output),
                  [&](int64_t r, int64_t c, int64_t n) {
                    store_upto(output.row(r) + c,
                               madd(l2, load_upto(parameter.row(r) + c, n), load_upto(gradient.row(r) + c, n)), n);
                  });
}

const SlotType kInputs[] = {float32("gradient", kAnyRank), float32("parameter", kAnyRank), kNoSlot};
const SlotType kOutputs[] = {float32("output", kAnyRank), kNoSlot};

}  // namespace

extern const Op l2_decay = {"l2_decay", kInputs, kOutputs, check_decay, decay};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
