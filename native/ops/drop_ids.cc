// Replaces ids by 0, which is <unk>, at random.
//
// output[i] = ids[i] if word i mod 4 of the Philox 4×32-10 block with counter (⌊i / 4⌋, 0, step, site) and key (seed,
// 5) is at least rate · 2³², else 0. The output is overwritten.
//
// There is one id for each sample, which is too little work for threads or vectors.

#include "native/core/philox.h"
#include "native/ops/dropout.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

void check_drop(const Call& call) {
  check_dropout(call);
  const int64_t limit = whole_attribute(call, "limit", 1, INT32_MAX);
  check_ids(call, call.input(kDropped), limit);
  promise(call.output(0), 0, limit - 1);
}

void drop(const Call& call) {
  const int32_t* ids = call.input(kDropped).i32();
  int32_t* output = call.output(0).i32();
  const uint32_t seed = call.input(kSeed).u32()[0], step = call.input(kStep).u32()[0];
  const uint32_t site = static_cast<uint32_t>(number_attribute(call, "site"));
  const uint32_t above = keep_above(number_attribute(call, "rate"));
  uint32_t words[4] = {};
  for (int64_t i = 0; i < call.output(0).rows; ++i) {
    if (i % 4 == 0) philox({static_cast<uint32_t>(i / 4), 0, step, site}, seed, kDropoutStream, words);
    output[i] = words[i % 4] >= above ? ids[i] : 0;
  }
}

const SlotType kInputs[] = {int32("ids", 1), uint32("seed", 0), uint32("step", 0), kNoSlot};
const SlotType kOutputs[] = {int32("output", 1), kNoSlot};

}  // namespace

extern const Op drop_ids = {"drop_ids", kInputs, kOutputs, check_drop, drop};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
