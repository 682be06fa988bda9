// Dropout (Srivastava et al. 2014) by Philox 4×32-10.
//
// With B = ⌈columns / 4⌉: output(r, c) = input(r, c) / (1 − rate) if word ⌊c / B⌋ of the block with counter
// (c mod B, r, step, site) and key (seed, 5) is at least rate · 2³², else 0. The output is overwritten and may be the
// input.
//
// Word w of consecutive blocks belongs to consecutive columns, so vectors of words need no permutation.

#include "native/ops/dropout.h"
#include "native/ops/philox_blocks.h"
#include "native/simd/vector.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kElementsPerChunk = 4096;

void drop(const Call& call) {
  const Tensor& input = call.input(kDropped);
  const Tensor& output = call.output(0);
  const uint32_t seed = call.input(kSeed).u32()[0], step = call.input(kStep).u32()[0];
  const double rate = number_attribute(call, "rate");
  const uint32_t site = static_cast<uint32_t>(number_attribute(call, "site"));
  const vu above = keep_above(rate) - vu{};
  const vf scale = splat(static_cast<float>(1 / (1 - rate)));
  const int64_t columns = output.columns, blocks = (columns + 3) / 4;
  parallel_blocks(call, output.rows, rows_with_elements(kElementsPerChunk, columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* from = input.row(r);
      float* to = output.row(r);
      for (int64_t first = 0; first < blocks; first += kLanes) {
        vu words[4];
        philox_vectors(static_cast<uint32_t>(first) + lane_numbers(), static_cast<uint32_t>(r) - vu{}, step, site, seed,
                       kDropoutStream, words);
        const int64_t count = blocks - first < kLanes ? blocks - first : kLanes;
        for (int word = 0; word < 4; ++word) {
          const int64_t c = word * blocks + first, left = columns - c < count ? columns - c : count;
          if (left <= 0) break;
          const vf kept = scale * load_upto(from + c, left);
          store_upto(to + c, words[word] >= above ? kept : vf{}, left);
        }
      }
    }
  });
}

const SlotType kInputs[] = {float32("input", 2), uint32("seed", 0), uint32("step", 0), kNoSlot};
const SlotType kOutputs[] = {float32("output", 2), kNoSlot};

}  // namespace

extern const Op dropout = {"dropout", kInputs, kOutputs, check_dropout, drop};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
