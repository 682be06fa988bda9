#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "native/data/token_table.h"

namespace shortlist {

// The clicks that a thread has parsed last, by what they say of the item. Popular items are clicked again and again,
// and most logs repeat their attributes with every click; such a click need not be parsed, nor its tokens looked up.
class ClickCache {
 public:
  // `entries` is a power of two.
  explicit ClickCache(size_t entries) : entries_(entries) {}

  void prefetch(uint64_t hash) const {
#if defined(__GNUC__)
    const Entry& entry = entries_[hash & (entries_.size() - 1)];
    __builtin_prefetch(&entry, 1);
    __builtin_prefetch(entry.numbers, 1);
#endif
  }

  // Returns the numbers of a click's tokens, feature by feature, those of a multi-valued feature after their count.
  // They are valid until the next call of `put`. nullptr if the click is not known.
  const int32_t* find(const HashedToken& click) {
    const Entry& entry = entries_[click.hash & (entries_.size() - 1)];
    const bool is_known = entry.size > 0 && entry.tag == tag_of(click.hash) && entry.size == click.text.size() &&
                          std::memcmp(entry.text, click.text.data(), click.text.size()) == 0;
    ++looked_up_;
    found_ += is_known;
    return is_known ? entry.numbers : nullptr;
  }

  // Keeps a click, unless it is too long.
  void put(const HashedToken& click, const int32_t* numbers, size_t count) {
    if (click.text.size() > kMostText || count > kMostNumbers) return;
    Entry& entry = entries_[click.hash & (entries_.size() - 1)];
    entry.tag = tag_of(click.hash);
    entry.size = static_cast<uint32_t>(click.text.size());
    std::memcpy(entry.text, click.text.data(), click.text.size());
    std::memcpy(entry.numbers, numbers, count * sizeof *numbers);
  }

  // To be called now and then, with some thousand clicks between. Returns whether the clicks until the next call should
  // be looked up. Where few were known, that is only tried now and then.
  bool pays() {
    if (pause_ > 0) return --pause_ == 0;
    const bool pays = kLookedUpPerFound * found_ >= looked_up_;
    looked_up_ = found_ = 0;
    if (!pays) pause_ = kPause;
    return pays;
  }

 private:
  static constexpr size_t kMostText = 64, kMostNumbers = 14;
  static constexpr size_t kLookedUpPerFound = 4, kPause = 15;

  // Two cache lines.
  struct alignas(64) Entry {
    uint32_t tag = 0;
    uint32_t size = 0;  // 0 if it is free: no click is empty
    char text[kMostText];
    int32_t numbers[kMostNumbers];
  };

  static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

  std::vector<Entry> entries_;
  size_t looked_up_ = 0, found_ = 0, pause_ = 0;
};

}  // namespace shortlist
