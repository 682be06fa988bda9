// The distinct table rows that a batch uses, with the places of their ids: the order in which sparse gradients are
// summed.
//
// The concatenation of all ids (N of them) is sorted stably. rows[0 … count) are the distinct ids, rising. The ids
// equal to rows[i] are at places order[segments[i] … segments[i + 1]) of the concatenation, in rising order. Elements
// of `rows` from `count` on are 0; elements of `segments` after `count` are N. Outputs are overwritten. Nothing
// aliases.
//
// The algorithm is a radix sort of pairs (id, place), least significant digit first. The bits of the largest id are
// divided into equal digits of at most 11 bits: one pass for up to 2048 rows, two for up to four million. The ids are
// cut into chunks, depending on N alone. Each chunk counts its digits, and from the counts of all chunks follows where
// its ids go. The last pass writes `order`. Then each chunk writes `rows` and `segments` for the segments that begin in
// it.

#include "native/ops/operands.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int kMostDigitBits = 11;
const int64_t kIdsPerChunk = 4096;  // at least
const int64_t kMostChunks = 16;

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

// `rows` holds ids, and 0 after the last of them.
void promise_sorted(const Call& call, int64_t count) {
  promise(call.output(kOrder), 0, count - 1);
  promise(call.output(kSegments), 0, count);
  promise(call.output(kCount), 0, count);
  int64_t lowest = 0, highest = 0;
  for (int32_t i = 0; i < call.inputs[0].count; ++i) {
    const Tensor& ids = call.inputs[0].tensors[i];
    if (elements(ids) == 0) continue;
    if (!ids.bounds->known) return;
    lowest = ids.bounds->lowest < lowest ? ids.bounds->lowest : lowest;
    highest = ids.bounds->highest > highest ? ids.bounds->highest : highest;
  }
  promise(call.output(kRows), lowest, highest);
}

void check_sort(const Call& call) {
  const int64_t count = id_count(call);
  expect(call, count < (int64_t{1} << 31), "fewer than 2³¹ ids");
  expect(call, is_shape(call.output(kOrder), count, 1) && is_shape(call.output(kRows), count, 1),
         "order and rows [ids]");
  expect(call, is_shape(call.output(kSegments), count + 1, 1), "segments [ids + 1]");
  promise_sorted(call, count);
}

// All ids in one array: the input itself if it is one flat tensor, else a copy.
const uint32_t* flatten(const Call& call, int64_t n) {
  const Slot& ids = call.inputs[0];
  if (ids.count == 1 && is_flat(ids.tensors[0])) return ids.tensors[0].u32();
  uint32_t* const flat = static_cast<uint32_t*>(scratch(call, n));
  uint32_t* to = flat;
  for (int32_t i = 0; i < ids.count; ++i) {
    const Tensor& part = ids.tensors[i];
    const int64_t rows = is_flat(part) ? 1 : part.rows, columns = is_flat(part) ? elements(part) : part.columns;
    for (int64_t r = 0; r < rows; ++r, to += columns) {
      __builtin_memcpy(to, part.u32() + r * part.stride, static_cast<uint64_t>(columns) * sizeof *to);
    }
  }
  return flat;
}

struct Sort {
  const Call& call;
  int64_t n, chunk, chunks;

  template <class Body>
  SHORTLIST_INLINE void for_each_chunk(const Body& body) const {
    parallel(call, chunks, [&](int64_t k) { body(k, k * chunk, k * chunk + chunk < n ? k * chunk + chunk : n); });
  }

  // One stable pass by the `bits` bits of id(i) from bit `shift` on: calls put(i, new place of element i).
  template <class Id, class Put>
  SHORTLIST_INLINE void pass(int shift, int bits, const Id& id, const Put& put) const {
    const int64_t digits = int64_t{1} << bits;
    const uint32_t mask = static_cast<uint32_t>(digits - 1);
    // next[chunk, digit] is where the chunk's next id with this digit goes; a row of sums over the chunks follows.
    uint32_t* next = static_cast<uint32_t*>(scratch(call, (chunks + 1) * digits));
    uint32_t* sums = next + chunks * digits;
    for_each_chunk([&](int64_t k, int64_t begin, int64_t end) {
      uint32_t* count = next + k * digits;
      for (int64_t d = 0; d < digits; ++d) count[d] = 0;
      for (int64_t i = begin; i < end; ++i) ++count[id(i) >> shift & mask];
    });
    for (int64_t d = 0; d < digits; ++d) sums[d] = 0;
    for (int64_t k = 0; k < chunks; ++k) {  // replaces each count by the sum of the counts of the chunks before
      uint32_t* count = next + k * digits;
      for (int64_t d = 0; d < digits; ++d) {
        const uint32_t before = sums[d];
        sums[d] += count[d];
        count[d] = before;
      }
    }
    uint32_t smaller = 0;
    for (int64_t d = 0; d < digits; ++d) {
      const uint32_t of_digit = sums[d];
      sums[d] = smaller;
      smaller += of_digit;
    }
    for_each_chunk([&](int64_t k, int64_t begin, int64_t end) {
      uint32_t* to = next + k * digits;
      for (int64_t d = 0; d < digits; ++d) to[d] += sums[d];
      for (int64_t i = begin; i < end; ++i) put(i, to[id(i) >> shift & mask]++);
    });
  }
};

// Sorts the ids: `sorted` [n] are the ids in rising order, and order [n] their places.
void sort_ids(const Sort& sort, const uint32_t* ids, uint32_t* sorted, int32_t* order) {
  const int64_t n = sort.n;
  uint32_t used = 0;
  for (int64_t i = 0; i < n; ++i) used |= ids[i];
  const int id_bits = used == 0 ? 1 : 32 - __builtin_clz(used);
  const int passes = (id_bits + kMostDigitBits - 1) / kMostDigitBits;
  const int bits = (id_bits + passes - 1) / passes;

  if (passes == 1) {
    sort.pass(
        0, bits, [=](int64_t i) { return ids[i]; },
        [=](int64_t i, uint32_t to) {
          sorted[to] = ids[i];
          order[to] = static_cast<int32_t>(i);
        });
  } else {
    Entry* from = static_cast<Entry*>(scratch(sort.call, 2 * n));
    sort.pass(
        0, bits, [=](int64_t i) { return ids[i]; },
        [=](int64_t i, uint32_t to) {
          from[to] = {ids[i], static_cast<uint32_t>(i)};
        });
    if (passes == 3) {
      Entry* middle = static_cast<Entry*>(scratch(sort.call, 2 * n));
      sort.pass(
          bits, bits, [=](int64_t i) { return from[i].id; }, [=](int64_t i, uint32_t to) { middle[to] = from[i]; });
      from = middle;
    }
    sort.pass((passes - 1) * bits, bits, [=](int64_t i) { return from[i].id; },
              [=](int64_t i, uint32_t to) {
                sorted[to] = from[i].id;
                order[to] = static_cast<int32_t>(from[i].place);
              });
  }
}

// Writes rows, segments and count, from the sorted ids.
void write_segments(const Sort& sort, const uint32_t* sorted) {
  const int64_t n = sort.n;
  int32_t* rows = sort.call.output(kRows).i32();
  int32_t* segments = sort.call.output(kSegments).i32();
  int32_t* first_row = int_scratch(sort.call, sort.chunks + 1);  // the number of segments that begin before each chunk
  sort.for_each_chunk([&](int64_t k, int64_t begin, int64_t end) {
    int32_t begun = begin == 0;
    for (int64_t i = begin == 0 ? 1 : begin; i < end; ++i) begun += sorted[i] != sorted[i - 1];
    first_row[k] = begun;
  });
  int32_t count = 0;
  for (int64_t k = 0; k < sort.chunks; ++k) {
    const int32_t begun = first_row[k];
    first_row[k] = count;
    count += begun;
  }
  segments[0] = 0;
  sort.for_each_chunk([&](int64_t k, int64_t begin, int64_t end) {
    // From the first segment that begins in the chunk to the end of the last one, which may be in a later chunk.
    while (begin > 0 && begin < n && sorted[begin] == sorted[begin - 1]) ++begin;
    int64_t row = first_row[k] - 1;
    for (int64_t i = begin; i < n; ++i) {
      const bool begins = i == 0 || sorted[i] != sorted[i - 1];
      if (begins && i >= end) break;
      row += begins;
      rows[row] = static_cast<int32_t>(sorted[i]);
      segments[row + 1] = static_cast<int32_t>(i + 1);
    }
  });
  for (int64_t i = count; i < n; ++i) rows[i] = 0;
  for (int64_t i = count; i < n; ++i) segments[i + 1] = static_cast<int32_t>(n);
  sort.call.output(kCount).i32()[0] = count;
}

void sort(const Call& call) {
  const int64_t n = id_count(call);
  const int64_t chunk = n > kMostChunks * kIdsPerChunk ? (n + kMostChunks - 1) / kMostChunks : kIdsPerChunk;
  const Sort sort = {call, n, chunk, (n + chunk - 1) / chunk};
  const uint32_t* const ids = flatten(call, n);
  uint32_t* const sorted = static_cast<uint32_t*>(scratch(call, n));
  sort_ids(sort, ids, sorted, call.output(kOrder).i32());
  write_segments(sort, sorted);
}

const SlotType kInputs[] = {list(int32("ids", kAnyRank)), kNoSlot};
const SlotType kOutputs[] = {int32("order", 1), int32("rows", 1), int32("segments", 1), int32("count", 0), kNoSlot};

}  // namespace

extern const Op sort_rows = {"sort_rows", kInputs, kOutputs, check_sort, sort};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
