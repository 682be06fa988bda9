// Checks that ops share, and their messages: those of src/ops/op.ts. Compiled once, for the baseline: it runs before the
// kernels and may use the standard library.

#include <string>

#include "native/core/error.h"
#include "native/ops/op.h"

namespace shortlist {
namespace {

[[noreturn]] void refuse(const Call& call, const std::string& message) {
  throw Error(Status::input, "[" + std::string(call.op) + "] " + message);
}

std::string text(int64_t number) { return std::to_string(number); }

}  // namespace

void expect(const Call& call, bool condition, const char* expectation) {
  if (!condition) throw Error(Status::program, "[" + std::string(call.op) + "] Expected " + expectation);
}

// Checks run before every step, on one thread: of ids they read the bounds, and of ranges and offsets all numbers without a
// branch for each. They look for a bad one's place only where there is one.

void check_ids(const Call& call, const Tensor& ids, int64_t rows, int64_t first) {
  if (!ids.given || (ids.bounds.known && ids.bounds.lowest >= first && ids.bounds.highest < rows)) return;
  for (int64_t r = 0; r < ids.rows; ++r) {
    const int32_t* row = ids.i32() + r * ids.stride;
    for (int64_t c = 0; c < ids.columns; ++c) {
      if (row[c] >= first && row[c] < rows) continue;
      refuse(call, "Expected ids of " + text(first) + " to " + text(rows - 1) + " in " + ids.name + " but received " +
                       text(row[c]) + " at " + text(r * ids.columns + c));
    }
  }
}

void check_ranges(const Call& call, const Tensor& start, const Tensor& end, int64_t limit) {
  if (!start.given || !end.given) return;
  int32_t bad = 0;
  const int32_t* starts = start.i32();
  const int32_t* ends = end.i32();
  const int32_t most = limit < INT32_MAX ? static_cast<int32_t>(limit) : INT32_MAX;
  for (int64_t i = 0; i < start.rows; ++i) bad |= (starts[i] < 0) | (ends[i] < starts[i]) | (ends[i] > most);
  if (bad == 0) return;
  for (int64_t i = 0; i < start.rows; ++i) {
    const int64_t from = start.i32()[i], to = end.i32()[i];
    if (from >= 0 && to >= from && to <= limit) continue;
    refuse(call, "Expected ranges within 0 to " + text(limit) + " in " + start.name + ", " + end.name + " but received [" +
                     text(from) + ", " + text(to) + ") at " + text(i));
  }
}

void check_offsets(const Call& call, const Tensor& offsets, int64_t limit) {
  if (!offsets.given) return;
  if (offsets.rows == 0) refuse(call, std::string("Expected ") + offsets.name + " to hold at least one offset");
  const int32_t* data = offsets.i32();
  if (data[0] != 0) refuse(call, std::string("Expected ") + offsets.name + " to start with 0 but received " + text(data[0]));
  int32_t falls = 0;
  for (int64_t i = 1; i < offsets.rows; ++i) falls |= data[i] < data[i - 1];
  for (int64_t i = 1; falls != 0 && i < offsets.rows; ++i) {
    if (data[i] >= data[i - 1]) continue;
    refuse(call, std::string("Expected rising offsets in ") + offsets.name + " but received " + text(data[i]) + " after " +
                     text(data[i - 1]));
  }
  if (data[offsets.rows - 1] != limit) {
    refuse(call, std::string("Expected ") + offsets.name + " to end with " + text(limit) + " but received " +
                     text(data[offsets.rows - 1]));
  }
}

}  // namespace shortlist
