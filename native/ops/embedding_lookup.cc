// Table rows by id: output[i] = table[ids[i]]. The output is overwritten. Nothing aliases.
//
// Reading a random table row for each id takes most of the time, so rows are prefetched.

#include "native/ops/operands.h"
#include "native/simd/vector.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kIdsPerBlock = 256;
const int64_t kPrefetchAhead = 32;

enum Input { kTable, kIds };

void check_lookup(const Call& call) {
  expect(call, is_shape(call.output(0), call.input(kIds).rows, call.input(kTable).columns),
         "output [ids, table width]");
  check_ids(call, call.input(kIds), call.input(kTable).rows);
}

void lookup(const Call& call) {
  const Tensor& table = call.input(kTable);
  const Tensor& output = call.output(0);
  const int32_t* ids = call.input(kIds).i32();
  const int64_t width = table.columns;
  parallel_blocks(call, output.rows, kIdsPerBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < begin + kPrefetchAhead && i < end; ++i) prefetch_row(table.row(ids[i]), width);
    for (int64_t i = begin; i < end; ++i) {
      if (i + kPrefetchAhead < end) prefetch_row(table.row(ids[i + kPrefetchAhead]), width);
      const float* from = table.row(ids[i]);
      float* to = output.row(i);
      for (int64_t c = 0; c < width; c += kLanes) store_upto(to + c, load_upto(from + c, width - c), width - c);
    }
  });
}

const SlotType kInputs[] = {float32("table", 2), int32("ids", 1), kNoSlot};
const SlotType kOutputs[] = {float32("output", 2), kNoSlot};

}  // namespace

extern const Op embedding_lookup = {"embedding_lookup", kInputs, kOutputs, check_lookup, lookup};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
