#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "native/data/token_table.h"

namespace shortlist {

// The tokens of a feature that a thread has seen last, so that most of them need no look into the table of all threads.
// It grows as long as that finds more of them.
class TokenCache {
 public:
  TokenCache(TokenTable* table, size_t most_entries)
      : table_(table), most_entries_(most_entries), entries_(std::min(kFirstEntries, most_entries)) {}

  void prefetch(uint64_t hash) const {
#if defined(__GNUC__)
    __builtin_prefetch(&entries_[hash & (entries_.size() - 1)], 1);
#endif
  }

  // The number of a token, which is not empty.
  int32_t number_of(const HashedToken& token) {
    Entry& entry = entries_[token.hash & (entries_.size() - 1)];
    if (token.is_short() ? entry.low == token.low && entry.high == token.high : entry.is_long(token))
      return entry.number;
    const TokenTable::Found found = table_->add(token);
    entry = token.is_short() ? Entry{token.low, token.high, found.number} : Entry::of_long(token, found);
    ++replaced_;
    return found.number;
  }

  // Grows if the cache found enough of the last tokens. `looked_up` more of them were looked up.
  void adapt(size_t looked_up) {
    looked_up_ += looked_up;
    if (replaced_ <= entries_.size() / 2 || entries_.size() == most_entries_) return;
    if (kReplacedPerFound * (looked_up_ - replaced_) <= replaced_) return;
    entries_ = std::vector<Entry>(2 * entries_.size());
    looked_up_ = replaced_ = 0;
  }

 private:
  // Of a long token, `low` is the address of its text and `high` has bits of its hash. No short token has the same
  // `high`, because UTF-8 text has no bytes of 255.
  struct Entry {
    uint64_t low = 0;
    uint32_t high = 0;
    int32_t number = 0;

    static uint32_t high_of(const HashedToken& token) { return 0xff000000u | static_cast<uint32_t>(token.hash >> 40); }
    static Entry of_long(const HashedToken& token, const TokenTable::Found& found) {
      return {reinterpret_cast<uintptr_t>(found.text.view().data()), high_of(token), found.number};
    }
    bool is_long(const HashedToken& token) const {
      return high == high_of(token) && TokenText::kept_at(reinterpret_cast<const char*>(low)) == token.text;
    }
  };

  static constexpr size_t kFirstEntries = size_t{1} << 16, kReplacedPerFound = 8;

  TokenTable* table_;
  size_t most_entries_;
  std::vector<Entry> entries_;
  size_t looked_up_ = 0, replaced_ = 0;  // since the cache has grown
};

}  // namespace shortlist
