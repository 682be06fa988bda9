// Draws items from the noise distribution, with replacement, by an alias table (Walker 1977; Vose 1991) and Philox
// 4×32-10 (Salmon et al., SC 2011).
//
// For negatives[s, d], w and v are words 2(d mod 2) and 2(d mod 2) + 1 of the block with counter (⌊d/2⌋, s, step, 0)
// and key (seed, 1). With c = ⌊w · items / 2³²⌋, the draw is c if v < threshold[c], else alias[c]. Shared draws have s
// = 0 and rank 1. The output is overwritten. A draw depends on seed, step, s and d alone.
//
// A Philox block gives a pair of draws. Pairs are numbered sample by sample and computed in groups of kPairs: first the
// words of all pairs, in vectors, then their table entries, which are at random addresses and are prefetched.

#include "native/ops/operands.h"
#include "native/ops/philox_blocks.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int kPairs = kPhiloxBlocks;
const int64_t kPairsPerChunk = 32 * kPairs;
const uint32_t kStream = 1;

enum Input { kThreshold, kAlias, kTarget, kSeed, kStep };

void check_draws(const Call& call) {
  const Tensor& negatives = call.output(0);
  const int64_t draws = whole_attribute(call, "draws", 1, INT32_MAX), items = call.input(kThreshold).rows;
  const bool shared = flag_attribute(call, "shared");
  expect(call, items > 0, "at least one item");
  expect(call, call.input(kAlias).rows == items, "as many aliases as thresholds");
  expect(call, shared ? is_shape(negatives, draws, 1) : is_shape(negatives, call.input(kTarget).rows, draws),
         "negatives [samples, draws], or [draws] when shared");
  check_ids(call, call.input(kAlias), items);
  promise(negatives, 0, items - 1);
}

void draw(const Call& call) {
  const Tensor& negatives = call.output(0);
  const uint32_t* threshold = call.input(kThreshold).u32();
  const int32_t* alias = call.input(kAlias).i32();
  const uint64_t items = static_cast<uint64_t>(call.input(kThreshold).rows);
  const uint32_t seed = call.input(kSeed).u32()[0], step = call.input(kStep).u32()[0];
  const bool shared = flag_attribute(call, "shared");
  const int64_t draws = shared ? negatives.rows : negatives.columns;
  const int64_t samples = shared ? 1 : negatives.rows;
  const int64_t between = shared ? negatives.stride : 1;  // elements from one draw to the next
  const int64_t pairs = (draws + 1) / 2;                  // pairs of a sample
  parallel_blocks(call, samples * pairs, kPairsPerChunk, [&](int64_t begin, int64_t end) {
    int64_t next_sample = begin / pairs, next_pair = begin % pairs;
    for (int64_t first = begin; first < end; first += kPairs) {
      uint32_t sample[kPairs], pair[kPairs], words[4][kPairs], column[kPairs][2];
      for (int i = 0; i < kPairs; ++i) {
        sample[i] = static_cast<uint32_t>(next_sample);
        pair[i] = static_cast<uint32_t>(next_pair++);
        if (next_pair < pairs) continue;
        next_pair = 0;
        ++next_sample;
      }
      philox_blocks(pair, sample, step, 0, seed, kStream, words);
      const int count = end - first < kPairs ? static_cast<int>(end - first) : kPairs;
      for (int i = 0; i < count; ++i) {
        for (int d = 0; d < 2; ++d) {
          column[i][d] = static_cast<uint32_t>(words[2 * d][i] * items >> 32);
          __builtin_prefetch(threshold + column[i][d]);
          __builtin_prefetch(alias + column[i][d]);
        }
      }
      for (int i = 0; i < count; ++i) {
        int32_t* to = negatives.i32() + (shared ? 0 : sample[i] * negatives.stride) + int64_t{2} * pair[i] * between;
        const int of_pair = draws - int64_t{2} * pair[i] < 2 ? 1 : 2;
        for (int d = 0; d < of_pair; ++d) {
          const bool own = words[2 * d + 1][i] < threshold[column[i][d]];
          to[d * between] = own ? static_cast<int32_t>(column[i][d]) : alias[column[i][d]];
        }
      }
    }
  });
}

const SlotType kInputs[] = {uint32("threshold", 1), int32("alias", 1), int32("target", 1),
                            uint32("seed", 0),      uint32("step", 0), kNoSlot};
const SlotType kOutputs[] = {int32("negatives", kAnyRank), kNoSlot};

}  // namespace

extern const Op draw_negatives = {"draw_negatives", kInputs, kOutputs, check_draws, draw};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
