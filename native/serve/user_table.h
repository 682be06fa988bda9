#pragma once

#include <cstdint>
#include <vector>

#include "native/data/batch_builder.h"
#include "native/serve/encoding.h"

namespace shortlist {

// Users side by side, as the clicks that a batch is built of: of each user's clicks those that the history holds.
class UserTable {
 public:
  // `encoding` must outlive it.
  UserTable(const Encoding& encoding, const HistoryWindow& history);

  // Throws Error(Status::input) for more clicks than a batch can have.
  void add(const User& user);

  // Valid until the next user is added. Times are not there: nobody asks for the past.
  Clicks clicks() const;

 private:
  struct SearchTable {
    std::vector<int32_t> query_offsets = {0};  // [users + 1]
    User::Searches queries;
  };

  const Encoding& encoding_;
  const HistoryWindow history_;
  std::vector<int32_t> offsets_ = {0};             // [users + 1]
  std::vector<std::vector<int32_t>> tokens_;       // of each categorical column
  std::vector<std::vector<float>> numbers_;        // of each number column
  std::vector<User::Values> lists_;                // of each categorical column with several values
  std::vector<SearchTable> searches_;              // of each column of searches
  std::vector<User::Values> values_;               // of each item feature
  std::vector<std::vector<float>> click_numbers_;  // of each number of a click
};

}  // namespace shortlist
