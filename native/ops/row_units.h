#pragma once

#include "native/ops/operands.h"
#include "native/simd/vector.h"

// Divides gradients of rows among threads. A sample contributes to a range of rows. Consecutive samples form a unit,
// and units are cut where the rows of all samples before the cut lie before those of all samples after it.

namespace shortlist {
namespace SHORTLIST_ISA {
namespace {

const int64_t kRowsPerUnit = 128;     // at least, so that a unit costs more than handing it to a thread
const int64_t kFewUnits = 4;          // fewer units than this are divided by columns as well
const int64_t kColumnsPerChunk = 16;  // one cache line, so that no two threads write the same line

// Unit u consists of samples sample[u] … sample[u + 1] − 1. They contribute only to rows row[u] … row[u + 1] − 1, to
// which no other unit contributes.
struct RowUnits {
  int64_t count;
  int32_t* sample;
  int32_t* row;
};

// Sample s contributes to rows in [low[s], high[s]); to none if high[s] ≤ low[s].
inline RowUnits row_units(const Call& call, const int32_t* low, const int32_t* high, int64_t samples, int64_t rows) {
  const int64_t most = rows / kRowsPerUnit + 1;
  RowUnits units = {1, int_scratch(call, most + 1), int_scratch(call, most + 1)};
  units.sample[0] = units.row[0] = 0;
  int32_t reach = 0;  // one past the last row of all samples so far
  for (int64_t s = 0; s < samples; ++s) {
    if (low[s] >= high[s]) continue;
    while (low[s] < units.row[units.count - 1]) --units.count;  // it contributes to earlier units: join them
    if (low[s] >= reach && reach - units.row[units.count - 1] >= kRowsPerUnit) {
      units.sample[units.count] = static_cast<int32_t>(s);
      units.row[units.count++] = reach;
    }
    if (high[s] > reach) reach = high[s];
  }
  units.sample[units.count] = static_cast<int32_t>(samples);
  units.row[units.count] = static_cast<int32_t>(rows);
  return units;
}

// Calls body(unit, first, last) for each unit and each chunk of its columns [first, last), on all threads.
template <class Body>
SHORTLIST_INLINE void for_each_unit(const Call& call, const RowUnits& units, const Tensor& rows, const Body& body) {
  const int64_t each = units.count < kFewUnits && rows.rows > kRowsPerUnit ? kColumnsPerChunk : rows.columns;
  const int64_t across = each > 0 ? (rows.columns + each - 1) / each : 0;
  parallel(call, units.count * across, [&](int64_t chunk) {
    const int64_t first = chunk % across * each;
    body(chunk / across, first, first + each < rows.columns ? first + each : rows.columns);
  });
}

// Sets columns [first, last) of rows [from, to) to 0.
SHORTLIST_INLINE void clear_rows(const Tensor& rows, int64_t from, int64_t to, int64_t first, int64_t last) {
  for (int64_t r = from; r < to; ++r) {
    for (int64_t c = first; c < last; c += kLanes) store_upto(rows.row(r) + c, vf{}, last - c);
  }
}

}  // namespace
}  // namespace SHORTLIST_ISA
}  // namespace shortlist
