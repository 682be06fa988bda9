// Mean of table rows over ranges of ids; formula, operands and overlap rules in src/ops/embedding_bag.ts.
//
// forward   output[s] = (Σ_j table[ids[j]]) / n, j in order, n = 0 gives zeros.      output is =, aliases nothing
// gradient  rows[g] = Σ_s output_gradient[s] / n(s) over samples s that hold g.      rows is =, aliases nothing
//
// Both are bound by memory: the forward pass reads one random table row an id, so rows ahead are prefetched. The
// gradient splits columns among the threads, not samples, because ranges may overlap: each element is then summed by one
// thread in sample order, whatever the number of threads.

#include "native/ops/op.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kSamplesPerBlock = 64;
const int64_t kColumnsPerBlock = 16;
const int64_t kPrefetchAhead = 8;

struct Bag {
  const int32_t* start;
  const int32_t* end;
  const int32_t* offsets;  // nullptr: one id a group

  SHORTLIST_INLINE int64_t first_id(int64_t sample) const { return offsets ? offsets[start[sample]] : start[sample]; }
  SHORTLIST_INLINE int64_t last_id(int64_t sample) const { return offsets ? offsets[end[sample]] : end[sample]; }
};

enum BagInput { kTable, kIds, kStart, kEnd, kOffsets };

Bag bag_of(const Call& call) {
  return {call.input(kStart).i32(), call.input(kEnd).i32(), call.has(kOffsets) ? call.input(kOffsets).i32() : nullptr};
}

int64_t groups_of(const Call& call) {
  return call.has(kOffsets) ? call.input(kOffsets).rows - 1 : call.input(kIds).rows;
}

void check_bag_ranges(const Call& call) {
  expect(call, call.input(kStart).rows == call.input(kEnd).rows, "as many ends as starts");
  if (call.has(kOffsets)) check_offsets(call, call.input(kOffsets), call.input(kIds).rows);
  check_ranges(call, call.input(kStart), call.input(kEnd), groups_of(call));
}

void check_forward(const Call& call) {
  const Tensor& output = call.output(0);
  expect(call, output.rows == call.input(kStart).rows, "one output row a sample");
  expect(call, output.columns == call.input(kTable).columns, "output as wide as the table");
  check_ids(call, call.input(kIds), call.input(kTable).rows);
  check_bag_ranges(call);
}

void forward(const Call& call) {
  const Tensor& table = call.input(kTable);
  const Tensor& output = call.output(0);
  const int32_t* ids = call.input(kIds).i32();
  const int64_t width = table.columns;
  const Bag bag = bag_of(call);
  parallel_blocks(call, output.rows, kSamplesPerBlock, [&](int64_t begin, int64_t end) {
    const int64_t last_of_block = bag.last_id(end - 1);
    for (int64_t s = begin; s < end; ++s) {
      float* __restrict out = output.row(s);
      for (int64_t c = 0; c < width; ++c) out[c] = 0;
      const int64_t first = bag.first_id(s), last = bag.last_id(s);
      for (int64_t j = first; j < last; ++j) {
        if (j + kPrefetchAhead < last_of_block) {
          const float* ahead = table.row(ids[j + kPrefetchAhead]);
          for (int64_t c = 0; c < width; c += 16) __builtin_prefetch(ahead + c);
        }
        const float* __restrict row = table.row(ids[j]);
        for (int64_t c = 0; c < width; ++c) out[c] += row[c];
      }
      if (last > first) {
        const float scale = 1.0f / static_cast<float>(last - first);
        for (int64_t c = 0; c < width; ++c) out[c] *= scale;
      }
    }
  });
}

enum GradientInput { kOutputGradient };  // then ids, start, end, offsets as above

void check_gradient(const Call& call) {
  const Tensor& gradient = call.input(kOutputGradient);
  expect(call, gradient.rows == call.input(kStart).rows, "one output_gradient row a sample");
  expect(call, call.output(0).rows == groups_of(call), "one row a group");
  expect(call, call.output(0).columns == gradient.columns, "rows as wide as output_gradient");
  check_bag_ranges(call);
}

void gradient(const Call& call) {
  const Tensor& output_gradient = call.input(kOutputGradient);
  const Tensor& rows = call.output(0);
  const Bag bag = bag_of(call);
  parallel_blocks(call, rows.columns, kColumnsPerBlock, [&](int64_t begin, int64_t end) {
    for (int64_t g = 0; g < rows.rows; ++g) {
      for (int64_t c = begin; c < end; ++c) rows.row(g)[c] = 0;
    }
    for (int64_t s = 0; s < output_gradient.rows; ++s) {
      const int64_t ids = bag.last_id(s) - bag.first_id(s);
      if (ids == 0) continue;
      const float scale = 1.0f / static_cast<float>(ids);
      const float* __restrict from = output_gradient.row(s);
      for (int64_t g = bag.start[s]; g < bag.end[s]; ++g) {
        float* __restrict to = rows.row(g);
        for (int64_t c = begin; c < end; ++c) to[c] += from[c] * scale;
      }
    }
  });
}

const char* const kForwardInputs[] = {"table", "ids", "start", "end", "offsets?", nullptr};
const char* const kForwardOutputs[] = {"output", nullptr};
const char* const kGradientInputs[] = {"output_gradient", "ids", "start", "end", "offsets?", nullptr};
const char* const kGradientOutputs[] = {"rows", nullptr};

}  // namespace

extern const Op embedding_bag = {"embedding_bag", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op embedding_bag_gradient = {"embedding_bag_gradient", kGradientInputs, kGradientOutputs, check_gradient, gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
