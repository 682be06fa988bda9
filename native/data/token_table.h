#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "native/core/threads.h"

namespace shortlist {

// A token and what it is looked up by.
struct HashedToken {
  static constexpr size_t kShort = 12;

  std::string_view text;
  uint64_t hash;
  // The first eight bytes of a token of up to twelve, and the others, each followed by zeros. Tokens have no NUL bytes,
  // so these are the token. 0 for a longer token.
  uint64_t low;
  uint32_t high;

  explicit HashedToken(std::string_view token);
  bool is_short() const { return text.size() <= kShort; }
};

// The text of a token in 16 bytes. Up to 12 bytes are part of it; a longer text is elsewhere.
class TokenText {
 public:
  static constexpr size_t kInline = HashedToken::kShort;

  // `text` must stay where it is, and its length precede it, unless it is short.
  explicit TokenText(std::string_view text = {}) : size_(static_cast<uint32_t>(text.size())) {
    if (text.size() <= kInline) {
      text.copy(bytes_, text.size());
    } else {
      const char* const data = text.data();
      std::memcpy(bytes_, &data, sizeof data);
    }
  }

  bool equals(std::string_view text) const {
    if (text.size() != size_) return false;
    if (size_ > kInline) return view() == text;
    for (size_t i = 0; i < text.size(); ++i) {
      if (bytes_[i] != text[i]) return false;
    }
    return true;
  }

  // A longer text, which its length of 32 bits precedes.
  static std::string_view kept_at(const char* text) {
    uint32_t size;
    std::memcpy(&size, text - sizeof size, sizeof size);
    return {text, size};
  }

  std::string_view view() const {
    if (size_ <= kInline) return {bytes_, size_};
    const char* data;
    std::memcpy(&data, bytes_, sizeof data);
    return {data, size_};
  }

 private:
  uint32_t size_;
  char bytes_[kInline] = {};
};

// Numbers the distinct tokens of a feature. Any number of threads may add tokens at once. Which number a token gets
// depends on their timing; a vocabulary does not (docs/math.md#vocabulary-and-noise).
class TokenTable {
 public:
  static constexpr int64_t kMaxTokens = int64_t{1} << 30;

  struct Found {
    int32_t number;
    TokenText text;  // valid as long as the table
  };

  // Returns the number of a token, which is not empty. Throws Error(Status::input) if there are too many tokens.
  Found add(const HashedToken& token);

  // The functions below are for when all tokens were added.

  // Number of distinct tokens.
  int64_t size() const;
  // Numbers are below this. Some of them have no token.
  int64_t bound() const;
  // [bound()] How often each token is used, by its number. Whoever adds tokens counts them.
  std::vector<uint32_t>& uses();
  // [size()] The uses of the tokens, in any order.
  void counts(double* to) const;

  struct Vocabulary {
    int64_t size;              // with <unk>
    std::string lines;         // `token ⇥ count`, in the order of ids
    std::vector<int32_t> ids;  // [bound()] of the tokens by their numbers; 0 if a token has none
  };
  // The vocabulary of the tokens that are used more than `limit` times, the most frequent first, and ties by the bytes
  // of the token. `unknown` is counted for <unk>, as are the uses of all other tokens.
  Vocabulary vocabulary(int64_t limit, int64_t unknown, Threads* threads) const;

 private:
  struct Slot {
    uint32_t hash;   // the lower half
    uint32_t index;  // 1 + the index of the token; 0 if it is free
  };

  // The tokens whose hashes have the same upper bits. The number of a token is its index × kShards + the shard.
  struct alignas(64) Shard {
    std::mutex mutex;
    std::vector<Slot> slots = std::vector<Slot>(16);  // open addressing, at most half of them in use
    std::vector<TokenText> texts;
    std::vector<std::unique_ptr<char[]>> chunks;  // the bytes of long tokens
    char* chunk_end = nullptr;                    // of the last one
    size_t free_bytes = 0;                        // before it

    std::string_view keep(std::string_view token);
    void grow();
  };

  struct Kept;

  static constexpr size_t kShardBits = 6;
  static constexpr size_t kShards = size_t{1} << kShardBits;

  const TokenText& text(uint32_t number) const { return shards_[number % kShards].texts[number / kShards]; }
  std::vector<Kept> kept(int64_t limit) const;

  std::array<Shard, kShards> shards_;
  std::vector<uint32_t> uses_;
};

}  // namespace shortlist
