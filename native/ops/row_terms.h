#pragma once

#include "native/ops/operands.h"
#include "native/simd/vector.h"

// The sparse gradient of a table: terms {ids, rows, offsets?, scale?}, and the places of each distinct id as `sort_rows`
// gives them. Element j of a term adds scale[j] · rows[r(j)] to row ids[j]; the terms' elements are numbered one term
// after the other. See "Row terms" in docs/ops.md.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int32_t kMostTerms = 16;
const int64_t kRowsPerBlock = 64;

// Input slots from `order` on, as every *_rows op has them.
enum RowSlot { kOrder, kRows, kSegments, kCount, kIds, kTermRows, kTermOffsets, kTermScale, kRowSlots };

// One term. Row r of `rows` read as [elements / width, width] starts at `rows + r / per_row · stride + r % per_row · width`.
struct Term {
  int64_t end;           // one past its last element, in the numbering of all terms
  const float* rows;
  int64_t stride;
  int64_t per_row;
  int64_t ids_per_row;   // without offsets
  const int32_t* row_of; // with offsets: r(j)
  const float* scale;    // or nullptr
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

// Checks the slots from `first` on against a table [rows, width].
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
    expect(call, letter == 'p' || letter == 's' || letter == 'o' || letter == 'b', "terms of the letters p, o, s and b");
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
      expect(call, offset.given && offset.rows == m + 1, "term_offsets [term_rows + 1], given");
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
  expect(call, terms == slots[kIds].count && terms == slots[kTermRows].count && offsets == slots[kTermOffsets].count &&
                   scales == slots[kTermScale].count,
         "as many operands as `terms` says");
  expect(call, is_shape(slots[kOrder].tensors[0], ids, 1) && is_shape(slots[kRows].tensors[0], ids, 1) &&
                   is_shape(slots[kSegments].tensors[0], ids + 1, 1),
         "order, rows and segments of these ids");
  check_ids(call, slots[kOrder].tensors[0], ids);
  check_ids(call, slots[kRows].tensors[0], table.rows);
  check_ids(call, slots[kCount].tensors[0], ids + 1);
  check_offsets(call, slots[kSegments].tensors[0], ids);
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
    term.ids_per_row = m > 0 && n >= m ? n / m : 1;
    term.row_of = nullptr;
    if (has_offsets(letters[t])) {
      const int32_t* offset = slots[kTermOffsets].tensors[offsets++].i32();
      int32_t* row_of = int_scratch(call, n);
      parallel_blocks(call, m, 1024, [=](int64_t begin, int64_t stop) {
        for (int64_t r = begin; r < stop; ++r) {
          for (int32_t j = offset[r]; j < offset[r + 1]; ++j) row_of[j] = static_cast<int32_t>(r);
        }
      });
      term.row_of = row_of;
    }
    term.scale = has_scale(letters[t]) ? slots[kTermScale].tensors[scales++].f32() : nullptr;
  }
  return all;
}

struct TermRow {
  const float* row;
  float scale;
};

SHORTLIST_INLINE TermRow term_row(const RowTerms& all, int64_t element) {
  int32_t t = 0;
  while (element >= all.term[t].end) ++t;
  const Term& term = all.term[t];
  const int64_t j = element - (t > 0 ? all.term[t - 1].end : 0);
  const int64_t r = term.row_of ? term.row_of[j] : term.ids_per_row == 1 ? j : j / term.ids_per_row;
  const float* row = term.per_row == 1 ? term.rows + r * term.stride
                                       : term.rows + r / term.per_row * term.stride + r % term.per_row * all.width;
  return {row, term.scale ? term.scale[j] : 1.0f};
}

// gradient [width] = the sum over distinct row i, in order.
SHORTLIST_INLINE void sum_row(const RowTerms& all, int64_t i, float* __restrict gradient) {
  const int64_t width = all.width;
  const int32_t begin = all.segments[i], end = all.segments[i + 1];
  for (int32_t p = begin; p < end; ++p) {
    const TermRow from = term_row(all, all.order[p]);
    const float* __restrict row = from.row;
    const float scale = from.scale;
    if (p == begin) {
      for (int64_t c = 0; c < width; ++c) gradient[c] = scale * row[c];
    } else {
      for (int64_t c = 0; c < width; ++c) gradient[c] += scale * row[c];
    }
  }
}

// Calls update(row, gradient) for every distinct row, on all threads; rows ahead of `table` (and of `state`, where the
// row has as much of it) are prefetched, since they lie anywhere.
template <class Update>
SHORTLIST_INLINE void for_each_row(const Call& call, int first, const Tensor& table, const Tensor* state,
                                   const Update& update) {
  const RowTerms all = row_terms(call, first, table.columns);
  const int64_t width = all.width;
  const int64_t padded = (width + 15) / 16 * 16;
  const int64_t blocks = (all.count + kRowsPerBlock - 1) / kRowsPerBlock;
  float* buffer = float_scratch(call, blocks * padded);
  parallel_blocks(call, all.count, kRowsPerBlock, [&](int64_t begin, int64_t end) {
    float* gradient = buffer + begin / kRowsPerBlock * padded;
    for (int64_t i = begin; i < end; ++i) {
      if (i + 2 < end) {
        const float* ahead = table.row(all.rows[i + 2]);
        const float* state_ahead = state ? state->row(all.rows[i + 2]) : nullptr;
        for (int64_t c = 0; c < width; c += 16) {
          __builtin_prefetch(ahead + c, 1);
          if (state_ahead) __builtin_prefetch(state_ahead + c, 1);
        }
        const float* term_ahead = term_row(all, all.order[all.segments[i + 2]]).row;
        for (int64_t c = 0; c < width; c += 16) __builtin_prefetch(term_ahead + c);
      }
      sum_row(all, i, gradient);
      update(all.rows[i], gradient);
    }
  });
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
