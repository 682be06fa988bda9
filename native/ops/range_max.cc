// Maximum over ranges of rows, for each column.
//
// forward   output[s, c] = max input[r, c] over start[s] ≤ r < end[s]; index[s, c] = the first r with that value. An
//           empty range gives 0 and −1. NaN is kept if it is in the first row of the range, and ignored elsewhere (as
//           in src/ops/range_max.ts).
// gradient  input_gradient[index[s, c], c] = Σ_s output_gradient[s, c] in sample order; other elements are 0.
//
// Outputs are overwritten. Nothing aliases.
//
// Forward. A strip of columns stays in registers over all rows of a range. Samples of one sequence are prefixes of it,
// so a sample that starts at the same row as the one before it, and ends no earlier, continues from that one's maximum.
//
// Gradient. The samples are divided into units of consecutive samples (row_units.h) such that no row belongs to two
// units: isolated windows, or the samples of a sequence. One thread computes a unit. A sample whose rows no earlier
// sample has written writes each of them once, without reading them. If there are too few units for the threads, their
// columns are divided as well. In any case one thread sums an element, in sample order.

#include "native/ops/row_units.h"

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kSamplesPerBlock = 32;
const int64_t kSpansPerChunk = 256;

enum Input { kInput, kStart, kEnd };

void check_forward(const Call& call) {
  const Tensor& input = call.input(kInput);
  const int64_t samples = call.input(kStart).rows;
  expect(call, call.input(kEnd).rows == samples, "as many ends as starts");
  expect(call, is_shape(call.output(0), samples, input.columns), "output [samples, input width]");
  expect(call, is_shape(call.output(1), samples, input.columns), "index [samples, input width]");
  check_ranges(call, call.input(kStart), call.input(kEnd), input.rows);
  promise(call.output(1), -1, input.rows - 1);
}

template <int vectors>
SHORTLIST_INLINE void find_largest(const Call& call, int64_t first, int64_t last, int64_t c, int64_t left) {
  const Tensor& input = call.input(kInput);
  const Tensor& output = call.output(0);
  const Tensor& index = call.output(1);
  const int32_t* start = call.input(kStart).i32();
  const int32_t* end = call.input(kEnd).i32();
  vf best[vectors] = {};
  vi from[vectors] = {};
  int64_t begun = -1, r = 0;  // `best` and `from` are those of rows begun … r − 1
  for (int64_t s = first; s < last; ++s) {
    if (start[s] != begun || end[s] < r || r == begun) {
      begun = r = start[s];
      const bool some = r < end[s];
      for (int i = 0; i < vectors; ++i) {
        best[i] = some ? load_strip<vectors>(input.row(r) + c, i, left) : vf{};
        from[i] = splat(some ? static_cast<int32_t>(r) : -1);
      }
      r += some;
    }
    for (; r < end[s]; ++r) {
      const vi row = splat(static_cast<int32_t>(r));
      for (int i = 0; i < vectors; ++i) {
        const vf value = load_strip<vectors>(input.row(r) + c, i, left);
        const vi higher = value > best[i];
        best[i] = higher ? value : best[i];
        from[i] = higher ? row : from[i];
      }
    }
    for (int i = 0; i < vectors; ++i) {
      store_strip<vectors>(output.row(s) + c, i, best[i], left);
      store_strip<vectors>(index.row(s) + c, i, bits(from[i]), left);
    }
  }
}

void forward(const Call& call) {
  parallel_blocks(call, call.output(0).rows, kSamplesPerBlock, [&](int64_t first, int64_t last) {
    for_each_strip(0, call.input(kInput).columns, [&](auto vectors, int64_t c, int64_t left) {
      find_largest<decltype(vectors)::value>(call, first, last, c, left);
    });
  });
}

enum GradientInput { kOutputGradient, kIndex, kLike };

void check_gradient(const Call& call) {
  expect(call, same_shape(call.input(kOutputGradient), call.input(kIndex)), "output_gradient of index's shape");
  expect(call, call.input(kIndex).columns == call.input(kLike).columns, "index as wide as input");
  expect(call, same_shape(call.output(0), call.input(kLike)), "input_gradient of input's shape");
  check_ids(call, call.input(kIndex), call.input(kLike).rows, -1);
}

// The range of rows [low, high) that contains the `index` of each sample; [rows, 0) if its range was empty.
void find_spans(const Call& call, int32_t* low, int32_t* high) {
  const Tensor& index = call.input(kIndex);
  const int32_t rows = static_cast<int32_t>(call.input(kLike).rows);
  parallel_blocks(call, index.rows, kSpansPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const int32_t* row = index.i32() + s * index.stride;
      vi least = splat(rows), most = splat(-1);
      int64_t c = 0;
      for (; c + kLanes <= index.columns; c += kLanes) {
        const vi x = load(row + c);
        const vi named = x >= 0 ? x : splat(rows);
        least = named < least ? named : least;
        most = x > most ? x : most;
      }
      int32_t first = rows, last = -1;
      for (int lane = 0; lane < kLanes; ++lane) {
        first = least[lane] < first ? least[lane] : first;
        last = most[lane] > last ? most[lane] : last;
      }
      for (; c < index.columns; ++c) {
        if (row[c] >= 0 && row[c] < first) first = row[c];
        if (row[c] > last) last = row[c];
      }
      low[s] = first;
      high[s] = last + 1;
    }
  });
}

void gradient(const Call& call) {
  const Tensor& output_gradient = call.input(kOutputGradient);
  const Tensor& index = call.input(kIndex);
  const Tensor& input_gradient = call.output(0);
  int32_t* low = int_scratch(call, index.rows);
  int32_t* high = int_scratch(call, index.rows);
  find_spans(call, low, high);
  const RowUnits units = row_units(call, low, high, index.rows, input_gradient.rows);
  for_each_unit(call, units, input_gradient, [&](int64_t unit, int64_t first, int64_t last) {
    int64_t reach = units.row[unit];  // rows before this one have been written
    for (int64_t s = units.sample[unit]; s < units.sample[unit + 1]; ++s) {
      if (low[s] >= high[s]) continue;
      const int32_t* to = index.i32() + s * index.stride;
      const float* from = output_gradient.row(s);
      if (low[s] < reach) {
        clear_rows(input_gradient, reach, high[s], first, last);
        for (int64_t c = first; c < last; ++c) {
          if (to[c] >= 0) input_gradient.row(to[c])[c] += from[c];
        }
      } else {
        clear_rows(input_gradient, reach, low[s], first, last);
        for (int64_t c = first; c < last; c += kLanes) {
          const int64_t left = last - c;
          const vi at = load_upto(to + c, left);
          const vf value = load_upto(from + c, left);
          for (int64_t r = low[s]; r < high[s]; ++r) {
            store_upto(input_gradient.row(r) + c, at == splat(static_cast<int32_t>(r)) ? value : vf{}, left);
          }
        }
      }
      if (high[s] > reach) reach = high[s];
    }
    clear_rows(input_gradient, reach, units.row[unit + 1], first, last);
  });
}

const SlotType kForwardInputs[] = {float32("input", 2), int32("start", 1), int32("end", 1), kNoSlot};
const SlotType kForwardOutputs[] = {float32("output", 2), int32("index", 2), kNoSlot};
const SlotType kGradientInputs[] = {float32("output_gradient", 2), int32("index", 2), float32("input", 2), kNoSlot};
const SlotType kGradientOutputs[] = {float32("input_gradient", 2), kNoSlot};

}  // namespace

extern const Op range_max = {"range_max", kForwardInputs, kForwardOutputs, check_forward, forward};
extern const Op range_max_gradient = {"range_max_gradient", kGradientInputs, kGradientOutputs, check_gradient,
                                      gradient};

}  // namespace SHORTLIST_ISA
}  // namespace shortlist
