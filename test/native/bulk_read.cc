// Reads of much memory on several threads have the elements of plain reads, wherever they begin and end.

#include "native/core/bulk_read.h"

#include <algorithm>
#include <vector>

#include "native/core/error.h"
#include "test/native/check.h"

using namespace shortlist;

int main() {
  const int64_t elements = (int64_t{5} << 18) + 123;
  Store store;
  store.define("x", Dtype::int32, {elements});
  std::vector<int32_t> values(static_cast<size_t>(elements));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i * 2654435761u);
  store.write("x", Dtype::int32, values.data(), 0, elements);
  for (const int64_t offset : {int64_t{0}, int64_t{77}, elements - 5}) {
    for (const int64_t count : {elements - offset, int64_t{5}, int64_t{0}}) {
      std::vector<int32_t> copy(static_cast<size_t>(count) + 1, -1);
      read_on_threads(store, "x", copy.data(), offset, count);
      const auto first = values.begin() + offset;
      CHECK(std::equal(first, first + count, copy.begin()));
      CHECK(copy.back() == -1);
    }
  }
  bool refused = false;
  try {
    read_on_threads(store, "x", values.data(), 124, elements - 123);
  } catch (const Error& error) {
    refused = error.status() == Status::input;
  }
  CHECK(refused);
  return failures() > 0;
}
