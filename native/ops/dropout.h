#pragma once

#include "native/ops/operands.h"

// What `dropout` (of elements) and `drop_ids` have in common: input slots, attributes, and the condition for keeping an
// element.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const uint32_t kDropoutStream = 5;

enum DropoutInput { kDropped, kSeed, kStep };

void check_dropout(const Call& call) {
  expect(call, same_shape(call.input(kDropped), call.output(0)), "output of the input's shape");
  const double rate = number_attribute(call, "rate");
  expect(call, rate >= 0 && rate <= 1 - 1 / 4294967296.0, "a rate from 0 to below 1");
  whole_attribute(call, "site", 0, UINT32_MAX);
}

// An element is kept if its random word is at least this.
SHORTLIST_INLINE uint32_t keep_above(double rate) { return static_cast<uint32_t>(rate * 4294967296.0 + 0.5); }

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
