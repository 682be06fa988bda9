#pragma once

#include "native/ops/operands.h"
#include "native/simd/vector.h"

// The sparse gradient of a table, as row terms ("Row terms" in docs/ops.md): terms {ids, rows, offsets?, scale?}, and
// the places of each distinct id, which `sort_rows` computes. Element j of a term adds scale[j] · rows[r(j)] to the
// gradient of table row ids[j]. The elements of all terms are numbered consecutively.
//
// A segment is the elements of one table row, in the sorted order. The sorted elements are cut into chunks of equal
// size, so that the segment of a row that holds most of the ids is divided among threads. A segment within one chunk is
// summed and applied at once. A segment that crosses chunks has a partial sum in each of them; these are added in order
// afterwards.
//
// Rows of the table, its state and the terms are at random addresses, so they are prefetched, to the L2 cache.
// Prefetching to the L1 cache, for reading or for writing, took 1.5 times as long (80,000 rows of 256 bytes of two
// tables of 256 MB, one thread, AVX-512 Xeon: 14 to 20 ms against 9 to 14).

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int32_t kMostTerms = 16;
const int64_t kElementsPerChunk = 256;
const int64_t kCrossingsPerChunk = 16;  // chunks whose crossing segments one thread adds
const int64_t kTermsAhead = 24;         // prefetch distance of term rows, in elements
const int64_t kRowsAhead = 12;          // prefetch distance of table rows, in distinct rows

// The input slots from `order` on, which are the same in every op with row terms.
#define SHORTLIST_ROW_TERM_SLOTS                                                                              \
  int32("order", 1), int32("rows", 1), int32("segments", 1), int32("count", 0), list(int32("ids", kAnyRank)), \
      list(float32("term_rows", kAnyRank)), optional(list(int32("term_offsets", 1))),                         \
      optional(list(float32("term_scale", kAnyRank)))
enum RowSlot { kOrder, kRows, kSegments, kCount, kIds, kTermRows, kTermOffsets, kTermScale, kRowSlots };

// One term. Its rows are `rows` read as [elements / width, width]: row r starts at
// rows + r / per_row · stride + r % per_row · width.
struct Term {
  int64_t end;  // one past its last element, in the numbering over all terms
  const float* rows;
  int64_t stride;
  int64_t per_row;
  uint32_t ids_per_row;   // without offsets: r(j) = j / ids_per_row
  const int32_t* row_of;  // with offsets: r(j) = row_of[j]
  const float* scale;     // or nullptr
};

struct RowTerms {
  const int32_t* order;
  const int32_t* rows;
  const int32_t* segments;
  int64_t count;
  int64_t width;
  int32_t terms;
  Term term[kMostTerms];
};

bool has_offsets(char letter) { return letter == 'o' || letter == 'b'; }
bool has_scale(char letter) { return letter == 's' || letter == 'b'; }

// Checks the row term slots, which begin at input slot `first`, against a table [rows, width].
void check_row_terms(const Call& call, int first, const Tensor& table) {
  const Slot* slots = call.inputs + first;
  const char* letters = text_attribute(call, "terms");
  const int64_t width = table.columns;
  int64_t ids = 0;
  int32_t terms = 0, offsets = 0, scales = 0;
  expect(call, width > 0, "a table with columns");
  for (; letters[terms] != 0; ++terms) {
    const char letter = letters[terms];
    expect(call, terms < kMostTerms, "at most 16 terms");
    expect(call, letter == 'p' || letter == 's' || letter == 'o' || letter == 'b',
           "terms of the letters p, o, s and b");
    expect(call, terms < slots[kIds].count && terms < slots[kTermRows].count, "ids and term_rows for each term");
    const Tensor& id = slots[kIds].tensors[terms];
    const Tensor& rows = slots[kTermRows].tensors[terms];
    const int64_t n = elements(id);
    expect(call, elements(rows) % width == 0, "term_rows of whole table rows");
    expect(call, rows.columns % width == 0 || is_flat(rows), "term_rows of whole table rows");
    const int64_t m = elements(rows) / width;
    if (has_offsets(letter)) {
      expect(call, offsets < slots[kTermOffsets].count, "term_offsets for each term that has them");
      const Tensor& offset = slots[kTermOffsets].tensors[offsets++];
      expect(call, offset.rows == m + 1, "term_offsets [term_rows + 1]");
      check_offsets(call, offset, n);
    } else {
      expect(call, n == 0 || (m > 0 && n % m == 0), "as many ids for each of term_rows");
    }
    if (has_scale(letter)) {
      expect(call, scales < slots[kTermScale].count, "term_scale for each term that has it");
      const Tensor& scale = slots[kTermScale].tensors[scales++];
      expect(call, elements(scale) == n && is_flat(scale), "term_scale with one number an id");
    }
    check_ids(call, id, table.rows);
    ids += n;
  }
  expect(call,
         terms == slots[kIds].count && terms == slots[kTermRows].count && offsets == slots[kTermOffsets].count &&
             scales == slots[kTermScale].count,
         "as many operands as `terms` says");
  expect(call,
         is_shape(slots[kOrder].tensors[0], ids, 1) && is_shape(slots[kRows].tensors[0], ids, 1) &&
             is_shape(slots[kSegments].tensors[0], ids + 1, 1),
         "order, rows and segments of these ids");
  check_sorted(call, slots[kIds], slots + kOrder);
}

RowTerms row_terms(const Call& call, int first, int64_t width) {
  const Slot* slots = call.inputs + first;
  const char* letters = text_attribute(call, "terms");
  RowTerms all;
  all.order = slots[kOrder].tensors[0].i32();
  all.rows = slots[kRows].tensors[0].i32();
  all.segments = slots[kSegments].tensors[0].i32();
  all.count = slots[kCount].tensors[0].i32()[0];
  all.width = width;
  all.terms = slots[kIds].count;
  int64_t end = 0;
  int32_t offsets = 0, scales = 0;
  for (int32_t t = 0; t < all.terms; ++t) {
    const Tensor& rows = slots[kTermRows].tensors[t];
    const int64_t n = elements(slots[kIds].tensors[t]), m = elements(rows) / width;
    Term& term = all.term[t];
    end += n;
    term.end = end;
    term.rows = rows.f32();
    const bool split = rows.columns % width == 0;
    term.stride = split ? rows.stride : width;
    term.per_row = split ? rows.columns / width : 1;
    term.ids_per_row = m > 0 && n >= m ? static_cast<uint32_t>(n / m) : 1;
    term.row_of = has_offsets(letters[t]) ? group_of_each(call, slots[kTermOffsets].tensors[offsets++]) : nullptr;
    term.scale = has_scale(letters[t]) ? slots[kTermScale].tensors[scales++].f32() : nullptr;
  }
  return all;
}

// The rows and scales of the elements of one chunk: element p adds scale[p] · row[p].
struct Sources {
  const float* row[kElementsPerChunk];
  float scale[kElementsPerChunk];
};

SHORTLIST_INLINE void find_sources(const RowTerms& all, int64_t begin, int64_t end, Sources* sources) {
  for (int64_t p = begin; p < end; ++p) {
    const int64_t element = all.order[p];
    int32_t t = 0;
    while (element >= all.term[t].end) ++t;
    const Term& term = all.term[t];
    const int64_t j = element - (t > 0 ? all.term[t - 1].end : 0);
    const int64_t r = term.row_of             ? term.row_of[j]
                      : term.ids_per_row == 1 ? j
                                              : static_cast<uint32_t>(j) / term.ids_per_row;
    sources->row[p - begin] = term.per_row == 1
                                  ? term.rows + r * term.stride
                                  : term.rows + r / term.per_row * term.stride + r % term.per_row * all.width;
    sources->scale[p - begin] = term.scale ? term.scale[j] : 1.0f;
  }
}

// sum [width] = Σ scale · row over elements [from, to) of a chunk with `count` elements, in order. Elements of `sum`
// beyond `width`, up to a whole vector, become 0.
SHORTLIST_INLINE void sum_sources(const Sources& sources, int64_t from, int64_t to, int64_t count, int64_t width,
                                  float* sum) {
  for_each_strip(0, width, [&](auto vectors, int64_t c, int64_t left) {
    const int n = decltype(vectors)::value;
    vf total[n] = {};
    for (int64_t p = from; p < to; ++p) {
      if (c == 0 && p + kTermsAhead < count) prefetch_row(sources.row[p + kTermsAhead], width);
      const float* row = sources.row[p] + c;
      const vf scale = splat(sources.scale[p]);
      for (int i = 0; i < n; ++i) total[i] = madd(scale, load_strip<n>(row, i, left), total[i]);
    }
    for (int i = 0; i < n; ++i) store(sum + c + i * kLanes, total[i]);
  });
}

// The segment that contains sorted element p: the last one that begins at p or before.
SHORTLIST_INLINE int64_t segment_of(const RowTerms& all, int64_t p) {
  int64_t low = 0, high = all.count;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (all.segments[middle] <= p ? low : high) = middle;
  }
  return low;
}

// Always inlined, because GCC 12 removes calls of a function that only prefetches. Without these prefetches
// adagrad_rows took twice as long (84,000 ids of a table of 1 M rows, width 64; two AVX2 threads; EPYC Genoa).
template <int count>
SHORTLIST_INLINE void prefetch_tables(const Tensor* const (&tables)[count], int64_t row) {
  for (const Tensor* table : tables) prefetch_row(table->row(row), table->columns);
}

// Calls update(row, gradient) for every distinct table row, on all threads. `tables` are the parameter and the state
// tensors of the same shape; their rows are prefetched.
template <int count, class Update>
SHORTLIST_INLINE void for_each_row(const Call& call, int first, const Tensor* const (&tables)[count],
                                   const Update& update) {
  const RowTerms all = row_terms(call, first, tables[0]->columns);
  const int64_t width = all.width, padded = (width + 15) / 16 * 16, n = all.segments[all.count];
  const int64_t chunks = (n + kElementsPerChunk - 1) / kElementsPerChunk;
  // For each chunk: the partial sum of the segment that began in an earlier chunk; the partial sum of the segment that
  // continues in the next chunk; and the number of that segment, or −1.
  float* heads = float_scratch(call, chunks * padded);
  float* sums = float_scratch(call, chunks * padded);
  int32_t* crossing = int_scratch(call, chunks);
  parallel_blocks(call, n, kElementsPerChunk, [&](int64_t begin, int64_t end) {
    const int64_t chunk = begin / kElementsPerChunk;
    float* sum = sums + chunk * padded;
    Sources sources;
    find_sources(all, begin, end, &sources);
    const int64_t segment = segment_of(all, begin);
    for (int64_t p = 0; p < kTermsAhead && p < end - begin; ++p) prefetch_row(sources.row[p], width);
    for (int64_t i = segment; i < segment + kRowsAhead && i < all.count; ++i) prefetch_tables(tables, all.rows[i]);
    crossing[chunk] = -1;
    for (int64_t i = segment; i < all.count && all.segments[i] < end; ++i) {
      if (i + kRowsAhead < all.count && all.segments[i + kRowsAhead] < end) {
        prefetch_tables(tables, all.rows[i + kRowsAhead]);
      }
      const int64_t from = all.segments[i], to = all.segments[i + 1];
      const bool is_head = from<begin, goes_on = to> end;
      sum_sources(sources, is_head ? 0 : from - begin, (goes_on ? end : to) - begin, end - begin, width,
                  is_head ? heads + chunk * padded : sum);
      if (!is_head && goes_on) crossing[chunk] = static_cast<int32_t>(i);
      if (!is_head && !goes_on) update(all.rows[i], sum);
    }
  });
  parallel_blocks(call, chunks, kCrossingsPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t i = crossing[chunk];
      if (i < 0) continue;
      float* sum = sums + chunk * padded;
      for (int64_t next = chunk + 1; next * kElementsPerChunk < all.segments[i + 1]; ++next) {
        const float* head = heads + next * padded;
        for (int64_t c = 0; c < width; c += kLanes) {
          store_upto(sum + c, load_upto(sum + c, width - c) + load_upto(head + c, width - c), width - c);
        }
      }
      update(all.rows[i], sum);
    }
  });
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
