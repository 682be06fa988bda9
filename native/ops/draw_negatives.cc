// Draws from the noise distribution, with replacement, by an alias table (Walker 1977; Vose 1991) and Philox 4×32-10
// (Salmon et al., SC 2011).
//
// negatives[s, d]: words w, v = 2(d mod 2), 2(d mod 2) + 1 of the block with counter (⌊d/2⌋, s, step, 0) and key
// (seed, 1); c = ⌊w · items / 2³²⌋; the draw is c where v < threshold[c], else alias[c]. Shared draws: s = 0, rank 1.
// negatives is =. A draw depends on (seed, step, s, d) alone.
//
// Draws come in groups: the words of all first, a vector of counters at a time, then the table's entries, which lie
// anywhere and are prefetched.

#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int kPairs = 16;  // of draws at a time
const int64_t kGroupsPerChunk = 64;
const uint32_t kStream = 1;

enum Input { kThreshold, kAlias, kTarget, kSeed, kStep };

void check_draws(const Call& call) {
  const Tensor& negatives = call.output(0);
  const double draws = number_attribute(call, "draws");
  const int64_t items = call.input(kThreshold).rows;
  const bool shared = flag_attribute(call, "shared");
  expect(call, draws >= 1 && draws < 2147483648.0, "draws of at least 1");
  expect(call, items > 0 && items < (int64_t{1} << 31), "at least one item");
  expect(call, call.input(kAlias).rows == items, "as many aliases as thresholds");
  expect(call, elements(call.input(kSeed)) == 1 && elements(call.input(kStep)) == 1, "scalars for seed and step");
  const int64_t count = static_cast<int64_t>(draws);
  expect(call, shared ? is_shape(negatives, count, 1) : is_shape(negatives, call.input(kTarget).rows, count),
         "negatives [samples, draws], or [draws] when shared");
  check_ids(call, call.input(kAlias), items);
}

// The words of kPairs blocks with counters (first + i, sample, step, 0): one lane a block.
SHORTLIST_INLINE void philox(uint32_t first, uint32_t sample, uint32_t step, uint32_t seed, uint32_t words[4][kPairs]) {
  for (int i = 0; i < kPairs; ++i) {
    uint32_t word0 = first + static_cast<uint32_t>(i), word1 = sample, word2 = step, word3 = 0;
    uint32_t key0 = seed, key1 = kStream;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t even = uint64_t{0xD2511F53u} * word0;
      const uint64_t odd = uint64_t{0xCD9E8D57u} * word2;
      word0 = static_cast<uint32_t>(odd >> 32) ^ word1 ^ key0;
      word1 = static_cast<uint32_t>(odd);
      word2 = static_cast<uint32_t>(even >> 32) ^ word3 ^ key1;
      word3 = static_cast<uint32_t>(even);
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    words[0][i] = word0;
    words[1][i] = word1;
    words[2][i] = word2;
    words[3][i] = word3;
  }
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
  const int64_t between = shared ? negatives.stride : 1;  // elements from draw to draw
  const int64_t groups = (draws + 2 * kPairs - 1) / (2 * kPairs);
  parallel_blocks(call, samples * groups, kGroupsPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t s = i / groups, pair = i % groups * kPairs;
      const int64_t count = draws - 2 * pair < 2 * kPairs ? draws - 2 * pair : 2 * kPairs;
      uint32_t words[4][kPairs];
      uint32_t column[2 * kPairs];
      philox(static_cast<uint32_t>(pair), static_cast<uint32_t>(s), step, seed, words);
      for (int64_t d = 0; d < count; ++d) {
        column[d] = static_cast<uint32_t>(words[2 * (d % 2)][d / 2] * items >> 32);
        __builtin_prefetch(threshold + column[d]);
        __builtin_prefetch(alias + column[d]);
      }
      int32_t* to = negatives.i32() + s * (shared ? 0 : negatives.stride) + 2 * pair * between;
      for (int64_t d = 0; d < count; ++d) {
        const bool own = words[2 * (d % 2) + 1][d / 2] < threshold[column[d]];
        to[d * between] = own ? static_cast<int32_t>(column[d]) : alias[column[d]];
      }
    }
  });
}

const char* const kInputs[] = {"threshold", "alias", "target", "seed", "step", nullptr};
const char* const kOutputs[] = {"negatives", nullptr};

}  // namespace

extern const Op draw_negatives = {"draw_negatives", kInputs, kOutputs, check_draws, draw};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
