#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/core/executor.h"
#include "native/data/batch_builder.h"

namespace shortlist {

// The items that are no candidates: for user u those from offsets[u] to offsets[u + 1] − 1 of ids.
struct ExcludedItems {
  std::vector<int32_t> ids, offsets = {0};

  // Adds a user: each of these items once, without <unk>.
  void add_user(const int32_t* items, int64_t count);
  // Adds items without <unk> to those of the last user. Throws Error(Status::input) if there are too many in all.
  void add_items(const std::vector<int32_t>& items);
};

// The items without <unk>, in rising order, each once.
std::vector<int32_t> known_items(const std::vector<int32_t>& items);

// What a run is given besides the batch of its users, by the names that the Program has for it.
struct RunExtras {
  struct Input {
    std::string name;
    InputArray array;
  };

  std::vector<Input> inputs;
  std::vector<Batch::Dim> dims;
};

// Users in order, a sample each, which asks for what the user clicks next: batch b has users b · batch_size and on;
// src/data/batches.ts, NextClickBatches.
struct UserBatches {
  Clicks clicks;  // whose offsets have been checked
  HistoryWindow history;
  int64_t batch_size;

  int64_t batches() const { return (clicks.users + batch_size - 1) / batch_size; }
  // `index` is below batches().
  Batch build(int64_t index) const;
};

// The inputs of a run of an inference Program for a batch of users. Throws Error(Status::input).
std::unique_ptr<RunInputs> prepare_users(const Executor& executor, const Batch& users, const RunExtras& extras);

}  // namespace shortlist
