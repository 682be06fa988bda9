// The rows that a batch touches, each with the places of its ids: the order in which sparse gradients are summed.
//
// The concatenation of all ids (N in all, read flat) is sorted stably. rows[0 … count) are the distinct ids, rising; ids
// equal to rows[i] stand at order[segments[i] … segments[i + 1]) of the concatenation, in rising order. Elements of rows
// past count are 0, of segments N. All outputs are =, alias nothing.
//
// A least-significant-digit radix sort of (id, place), 11 bits a pass: as many passes as the largest id needs (two up to
// four million rows). On one thread: it moves 16 bytes an id and pass, far less than the gradients that it orders.

#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int kDigitBits = 11;
const int32_t kDigits = 1 << kDigitBits;

struct Entry {
  uint32_t id;
  uint32_t place;
};

enum Output { kOrder, kRows, kSegments, kCount };

int64_t id_count(const Call& call) {
  int64_t count = 0;
  for (int32_t i = 0; i < call.inputs[0].count; ++i) count += elements(call.inputs[0].tensors[i]);
  return count;
}

void check_sort(const Call& call) {
  const int64_t count = id_count(call);
  expect(call, count < (int64_t{1} << 31), "fewer than 2³¹ ids");
  expect(call, is_shape(call.output(kOrder), count, 1) && is_shape(call.output(kRows), count, 1), "order and rows [ids]");
  expect(call, is_shape(call.output(kSegments), count + 1, 1), "segments [ids + 1]");
  expect(call, elements(call.output(kCount)) == 1, "a scalar count");
}

void sort(const Call& call) {
  const int64_t n = id_count(call);
  Entry* from = static_cast<Entry*>(scratch(call, 2 * n));
  Entry* to = static_cast<Entry*>(scratch(call, 2 * n));
  uint32_t used = 0;  // the bits that any id has
  int64_t place = 0;
  for (int32_t i = 0; i < call.inputs[0].count; ++i) {
    const Tensor& ids = call.inputs[0].tensors[i];
    for (int64_t r = 0; r < ids.rows; ++r) {
      const uint32_t* row = ids.u32() + r * ids.stride;
      for (int64_t c = 0; c < ids.columns; ++c, ++place) {
        from[place] = {row[c], static_cast<uint32_t>(place)};
        used |= row[c];
      }
    }
  }
  for (int shift = 0; shift < 32 && used >> shift != 0; shift += kDigitBits) {
    int32_t next[kDigits] = {0};
    for (int64_t i = 0; i < n; ++i) ++next[from[i].id >> shift & (kDigits - 1)];
    int32_t sum = 0;
    for (int32_t d = 0; d < kDigits; ++d) {
      const int32_t size = next[d];
      next[d] = sum;
      sum += size;
    }
    for (int64_t i = 0; i < n; ++i) to[next[from[i].id >> shift & (kDigits - 1)]++] = from[i];
    Entry* const swap = from;
    from = to;
    to = swap;
  }
  int32_t* order = call.output(kOrder).i32();
  int32_t* rows = call.output(kRows).i32();
  int32_t* segments = call.output(kSegments).i32();
  int32_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    order[i] = static_cast<int32_t>(from[i].place);
    if (i > 0 && from[i].id == from[i - 1].id) continue;
    rows[count] = static_cast<int32_t>(from[i].id);
    segments[count++] = static_cast<int32_t>(i);
  }
  for (int64_t i = count; i < n; ++i) rows[i] = 0;
  for (int64_t i = count; i <= n; ++i) segments[i] = static_cast<int32_t>(n);
  call.output(kCount).i32()[0] = count;
}

const char* const kInputs[] = {"ids*", nullptr};
const char* const kOutputs[] = {"order", "rows", "segments", "count", nullptr};

}  // namespace

extern const Op sort_rows = {"sort_rows", kInputs, kOutputs, check_sort, sort};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
