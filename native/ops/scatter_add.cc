// Adds row terms (row_terms.h) to a whole tensor: output = base + Σ terms; without a base, Σ terms.
//
// The output is overwritten and may be the base. Only the shape of `table` is used.

#include "native/ops/elementwise.h"
#include "native/ops/row_terms.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

enum Input { kTable, kBase, kFirstRowSlot };

void check_scatter(const Call& call) {
  const Tensor& table = call.input(kTable);
  expect(call, same_shape(call.output(0), table), "output of table's shape");
  expect(call, !call.has(kBase) || same_shape(call.input(kBase), table), "base of table's shape");
  check_row_terms(call, kFirstRowSlot, table);
}

void scatter(const Call& call) {
  const Tensor& output = call.output(0);
  if (call.has(kBase)) {
    const Tensor& base = call.input(kBase);
    for_each_vector(call, output, is_flat(base) && is_flat(output), [&](int64_t r, int64_t c, int64_t left) {
      store_upto(output.row(r) + c, load_upto(base.row(r) + c, left), left);
    });
  } else {
    for_each_vector(call, output, is_flat(output),
                    [&](int64_t r, int64_t c, int64_t left) { store_upto(output.row(r) + c, vf{}, left); });
  }
  for_each_row(call, kFirstRowSlot, {&output}, [&](int64_t row, const float* sum) {
    float* const to = output.row(row);
    for_each_vector_in(
        output.columns, [&](int64_t c, int64_t left) __attribute__((always_inline)) {
          store_upto(to + c, load_upto(to + c, left) + load_upto(sum + c, left), left);
        });
  });
}

const SlotType kInputs[] = {float32("table", kAnyRank), optional(float32("base", kAnyRank)), SHORTLIST_ROW_TERM_SLOTS,
                            kNoSlot};
const SlotType kOutputs[] = {float32("output", kAnyRank), kNoSlot};

}  // namespace

extern const Op scatter_add = {"scatter_add", kInputs, kOutputs, check_scatter, scatter};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
