#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "native/core/executor.h"
#include "native/data/batch_builder.h"

namespace shortlist {

// The items that are no candidates: for user u those from offsets[u] to offsets[u + 1] − 1 of ids.
struct ExcludedItems {
  std::vector<int32_t> ids, offsets = {0};

  // Adds a user: each of these items once, without <unk>.
  void add_user(const int32_t* items, int64_t count);
};

// The items that users `first` to `first + count − 1` have clicked.
ExcludedItems watched_items(const Clicks& clicks, int64_t first, int64_t count);

// The inputs of a run of an inference Program for `count` users of `clicks`, a sample each: what they click next. Of
// the Program's other inputs and dims, "excluded" and "excluded_offsets" are those of `excluded`, and "top" is `top`.
// Throws Error(Status::input).
std::unique_ptr<RunInputs> prepare_users(const Executor& executor, const Clicks& clicks, const HistoryWindow& history,
                                         int64_t first, int64_t count, int64_t top, const ExcludedItems& excluded);

}  // namespace shortlist
