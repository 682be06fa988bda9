// Sum of all elements: output = Σ input. Gradient: input_gradient[i] = output_gradient. Outputs are overwritten.

#include "native/ops/total.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

void check_forward(const Call&) {}

void forward(const Call& call) { call.output(0).f32()[0] = static_cast<float>(total(call.input(0))); }

void check_gradient(const Call& call) {
  expect(call, same_shape(call.output(0), call.input(1)), "input_gradient of input's shape");
}

void gradient(const Call& call) { fill_with(call.output(0), call.input(0).f32()[0]); }

const SlotType kForwardInputs[] = {float32("input", kAnyRank), kNoSlot};
const SlotType kForwardOutputs[] = {float32("output", 0), kNoSlot};
const SlotType kGradientInputs[] = {float32("output_gradient", 0), float32("input", kAnyRank), kNoSlot};
const SlotType kGradientOutputs[] = {float32("input_gradient", kAnyRank), kNoSlot};

}  // namespace

extern const Op sum = {"sum", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op sum_gradient = {"sum_gradient", kGradientInputs, kGradientOutputs, check_gradient, gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
