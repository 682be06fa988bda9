// The checks that several ops need. Their messages are those of src/ops/op.ts and src/ops/row_terms.ts. This file is
// compiled once, for the baseline instruction set: it runs before the kernels, so it may use the standard library.
//
// A kernel may use a number as an index only if a check has proved that it is valid. There are three proofs. Either the
// tensor is given, and the check looks at every number. Or the op that computes it has promised bounds that are tight
// enough. Or, if bounds say too little (`check_sorted`), the tensor is the output of an instruction with the same
// operands, which is correct by construction. Any other index is refused.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "native/core/error.h"
#include "native/core/kernel.h"

namespace shortlist {
namespace {

[[noreturn]] void refuse(const Call& call, const std::string& message, Status status = Status::input) {
  throw Error(status, "[" + std::string(call.op) + "] " + message);
}

[[noreturn]] void refuse_computed(const Call& call, const Tensor& tensor, const std::string& what) {
  refuse(call, "Expected " + what + " in " + tensor.name + " but nothing is known of what it will hold",
         Status::program);
}

std::string text(int64_t number) { return std::to_string(number); }

int64_t elements(const Tensor& tensor) { return tensor.rows * tensor.columns; }

// An int32 vector whose numbers are known before the run, because they are given or consecutive.
struct KnownVector {
  explicit KnownVector(const Tensor& tensor)
      : data(tensor.given ? tensor.i32() : nullptr), first(tensor.bounds->lowest) {}
  int64_t operator[](int64_t i) const { return data != nullptr ? data[i] : first + i; }

  const int32_t* data;
  int64_t first;
};

bool is_known(const Tensor& tensor) { return tensor.given || (tensor.bounds->known && tensor.bounds->consecutive); }

bool is_output_of(const Tensor& tensor, const Call& maker, int slot) {
  return tensor.maker == &maker && maker.outputs[slot].tensors[0].index == tensor.index;
}

// The sort_rows instruction whose output number `slot` is this tensor, or nullptr.
const Call* sort_that_made(const Tensor& tensor, int slot) {
  const Call* maker = tensor.maker;
  return maker != nullptr && std::strcmp(maker->op, "sort_rows") == 0 && is_output_of(tensor, *maker, slot) ? maker
                                                                                                            : nullptr;
}

bool are_same(const Slot& a, const Slot& b) {
  if (a.count != b.count) return false;
  for (int32_t i = 0; i < a.count; ++i) {
    if (a.tensors[i].index != b.tensors[i].index) return false;
  }
  return true;
}

// Throws unless given tensors hold the numbers that sort_rows computes for these given ids.
void check_given_sort(const Call& call, const Slot& ids, const Slot* sorted) {
  std::vector<int32_t> flat;
  for (int32_t i = 0; i < ids.count; ++i) {
    const int32_t* const data = ids.tensors[i].i32();
    flat.insert(flat.end(), data, data + elements(ids.tensors[i]));
  }
  const int64_t n = static_cast<int64_t>(flat.size());
  const auto expect_number = [&](int slot, int64_t at, bool fits, const std::string& expected) {
    if (fits) return;
    const Tensor& tensor = sorted[slot].tensors[0];
    refuse(call, "Expected what sort_rows gives for these ids, " + expected + ", in " + tensor.name + " but received " +
                     text(tensor.i32()[at]) + " at " + text(at));
  };
  const int32_t* const order = sorted[0].tensors[0].i32();
  const int32_t* const rows = sorted[1].tensors[0].i32();
  const int32_t* const segments = sorted[2].tensors[0].i32();
  int64_t count = 0;
  for (int64_t j = 0; j < n; ++j) {
    expect_number(0, j, order[j] >= 0 && order[j] < n, "places of 0 to " + text(n - 1));
    const int32_t id = flat[order[j]], before = j > 0 ? flat[order[j - 1]] : -1;
    expect_number(0, j, j == 0 || id > before || (id == before && order[j] > order[j - 1]), "places by rising id");
    if (j > 0 && id == before) continue;
    expect_number(1, count, rows[count] == id, text(id));
    expect_number(2, count, segments[count] == j, text(j));
    ++count;
  }
  expect_number(3, 0, sorted[3].tensors[0].i32()[0] == count, text(count));
  for (int64_t i = count; i < n; ++i) expect_number(1, i, rows[i] == 0, "0");
  for (int64_t i = count; i <= n; ++i) expect_number(2, i, segments[i] == n, text(n));
}

}  // namespace

void expect(const Call& call, bool condition, const char* expectation) {
  if (!condition) throw Error(Status::program, "[" + std::string(call.op) + "] Expected " + expectation);
}

// Checks run before every training step, on one thread, so they have to be fast. For ids they compare the bounds; for
// ranges and offsets they read all numbers, without a branch for each. Only after a failure do they search for the
// first bad number, for the message.

void check_ids(const Call& call, const Tensor& ids, int64_t rows, int64_t first) {
  const Bounds& bounds = *ids.bounds;
  if (elements(ids) == 0 || (bounds.known && bounds.lowest >= first && bounds.highest < rows)) return;
  const std::string expected = "ids of " + text(first) + " to " + text(rows - 1);
  if (!ids.given && !bounds.known) refuse_computed(call, ids, expected);
  if (!ids.given) {
    refuse(call, "Expected " + expected + " in " + ids.name + " but it will hold ids of " + text(bounds.lowest) +
                     " to " + text(bounds.highest));
  }
  for (int64_t r = 0; r < ids.rows; ++r) {
    const int32_t* row = ids.i32() + r * ids.stride;
    for (int64_t c = 0; c < ids.columns; ++c) {
      if (row[c] >= first && row[c] < rows) continue;
      refuse(call, "Expected " + expected + " in " + ids.name + " but received " + text(row[c]) + " at " +
                       text(r * ids.columns + c));
    }
  }
}

void check_ranges(const Call& call, const Tensor& start, const Tensor& end, int64_t limit) {
  if (start.rows == 0) return;
  for (const Tensor* tensor : {&start, &end}) {
    if (!is_known(*tensor)) refuse_computed(call, *tensor, "ranges within 0 to " + text(limit));
  }
  const KnownVector starts(start), ends(end);
  const int32_t most = limit < INT32_MAX ? static_cast<int32_t>(limit) : INT32_MAX;
  if (starts.data != nullptr && ends.data != nullptr) {
    int32_t bad = 0;
    for (int64_t i = 0; i < start.rows; ++i)
      bad |= (starts.data[i] < 0) | (ends.data[i] < starts.data[i]) | (ends.data[i] > most);
    if (bad == 0) return;
  }
  for (int64_t i = 0; i < start.rows; ++i) {
    const int64_t from = starts[i], to = ends[i];
    if (from >= 0 && to >= from && to <= limit) continue;
    refuse(call, "Expected ranges within 0 to " + text(limit) + " in " + start.name + ", " + end.name +
                     " but received [" + text(from) + ", " + text(to) + ") at " + text(i));
  }
}

void check_offsets(const Call& call, const Tensor& offsets, int64_t limit) {
  if (!offsets.given) refuse_computed(call, offsets, "offsets from 0 to " + text(limit));
  if (offsets.rows == 0) refuse(call, std::string("Expected ") + offsets.name + " to hold at least one offset");
  const int32_t* data = offsets.i32();
  if (data[0] != 0)
    refuse(call, std::string("Expected ") + offsets.name + " to start with 0 but received " + text(data[0]));
  int32_t falls = 0;
  for (int64_t i = 1; i < offsets.rows; ++i) falls |= data[i] < data[i - 1];
  for (int64_t i = 1; falls != 0 && i < offsets.rows; ++i) {
    if (data[i] >= data[i - 1]) continue;
    refuse(call, std::string("Expected rising offsets in ") + offsets.name + " but received " + text(data[i]) +
                     " after " + text(data[i - 1]));
  }
  if (data[offsets.rows - 1] != limit) {
    refuse(call, std::string("Expected ") + offsets.name + " to end with " + text(limit) + " but received " +
                     text(data[offsets.rows - 1]));
  }
}

void check_sorted(const Call& call, const Slot& ids, const Slot* sorted) {
  const Call* const maker = sort_that_made(sorted[0].tensors[0], 0);
  bool given = true;
  for (int slot = 0; slot < 4; ++slot) {
    const Tensor& tensor = sorted[slot].tensors[0];
    given = given && tensor.given;
    if (given || (maker != nullptr && is_output_of(tensor, *maker, slot))) continue;
    refuse(call,
           std::string("Expected order, rows, segments and count of one sort_rows, or all of them given, but ") +
               tensor.name + " is not",
           Status::program);
  }
  if (maker != nullptr) {
    if (!are_same(ids, maker->inputs[0])) {
      refuse(call,
             std::string("Expected the ids that sort_rows sorted, in their order, for ") + sorted[0].tensors[0].name,
             Status::program);
    }
    return;
  }
  for (int32_t i = 0; i < ids.count; ++i) {
    if (!ids.tensors[i].given) refuse_computed(call, ids.tensors[i], "ids whose order can be given");
  }
  check_given_sort(call, ids, sorted);
}

void check_distinct_rows(const Call& call, const Tensor& rows, const Tensor& count, int64_t table_rows) {
  check_ids(call, rows, table_rows);
  check_ids(call, count, rows.rows + 1);
  const Call* const maker = sort_that_made(rows, 1);
  if ((maker != nullptr && is_output_of(count, *maker, 3)) || (rows.bounds->known && rows.bounds->consecutive)) return;
  if (!rows.given) refuse_computed(call, rows, "distinct rows");
  std::vector<bool> seen(static_cast<size_t>(table_rows));
  for (int64_t i = 0; i < (count.given ? count.i32()[0] : rows.rows); ++i) {
    const int32_t row = rows.i32()[i];
    if (seen[row])
      refuse(call, std::string("Expected distinct rows in ") + rows.name + " but received " + text(row) + " again at " +
                       text(i));
    seen[row] = true;
  }
}

int64_t whole_attribute(const Call& call, const char* name, int64_t least, int64_t most) {
  const double number = number_attribute(call, name);
  if (number >= static_cast<double>(least) && number <= static_cast<double>(most) && number == std::floor(number)) {
    return static_cast<int64_t>(number);
  }
  refuse(call, std::string("Expected ") + name + " of " + text(least) + " to " + text(most), Status::program);
}

Bounds bounds_of(const int32_t* numbers, int64_t count) {
  if (count == 0) return {};
  int32_t lowest = numbers[0], highest = numbers[0];
  for (int64_t i = 1; i < count; ++i) {
    lowest = std::min(lowest, numbers[i]);
    highest = std::max(highest, numbers[i]);
  }
  return {true, lowest, highest, false};
}

void promise(const Tensor& output, int64_t lowest, int64_t highest) {
  const bool fits = lowest >= INT32_MIN && highest <= INT32_MAX && lowest <= highest;
  if (fits) *output.bounds = {true, static_cast<int32_t>(lowest), static_cast<int32_t>(highest), false};
}

void promise_consecutive(const Tensor& output, int64_t first) {
  promise(output, first, first + output.rows - 1);
  output.bounds->consecutive = true;
}

}  // namespace shortlist
