#include "native/data/token_table.h"

#include <algorithm>
#include <utility>

#include "native/core/error.h"
#include "native/data/parallel.h"

namespace shortlist {
namespace {

const size_t kChunkBytes = 64 * 1024;

template <class Value>
Value load(const char* from) {
  Value value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Odd constants with about as many ones as zeros (the fractions of √2, √3, √5).
const uint64_t kFirst = 0x6a09e667f3bcc909, kSecond = 0xbb67ae8584caa73b, kThird = 0x3c6ef372fe94f82b;

uint64_t mix(uint64_t a, uint64_t b) {
  const uint64_t product = (a ^ kFirst) * (b | 1);
  const uint64_t mixed = (product ^ (product >> 32)) * kSecond;
  return mixed ^ (mixed >> 29);
}

}  // namespace

HashedToken::HashedToken(std::string_view token) : text(token), low(0), high(0) {
  const char* const at = token.data();
  const size_t size = token.size();
  if (!is_short()) {
    hash = size * kThird;
    for (size_t i = 0; i + 16 < size; i += 16) {
      hash = mix(hash ^ load<uint64_t>(at + i), kThird);
      hash = mix(hash ^ load<uint64_t>(at + i + 8), kSecond);
    }
    // The last two words may overlap others.
    hash = mix(hash ^ load<uint64_t>(size < 16 ? at : at + size - 16), kThird);
    hash = mix(hash ^ load<uint64_t>(at + size - 8), kSecond);
    return;
  }
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (size >= 8) {
    low = load<uint64_t>(at);
    high = static_cast<uint32_t>(uint64_t{load<uint32_t>(at + size - 4)} >> 8 * (12 - size));
  } else if (size >= 4) {
    low = load<uint32_t>(at) | uint64_t{load<uint32_t>(at + size - 4)} << 8 * (size - 4);
  } else if (size > 0) {
    const auto byte = [&](size_t i) { return uint64_t{static_cast<unsigned char>(at[i])} << 8 * i; };
    low = byte(0) | byte(size / 2) | byte(size - 1);
  }
#else
  char bytes[kShort] = {};
  std::memcpy(bytes, at, size);
  std::memcpy(&low, bytes, sizeof low);
  std::memcpy(&high, bytes + sizeof low, sizeof high);
#endif
  hash = mix(mix(low, kThird) ^ high, kSecond);
}

std::string_view TokenTable::Shard::keep(std::string_view token) {
  const uint32_t size = static_cast<uint32_t>(token.size());
  if (free_bytes < sizeof size + size) {
    free_bytes = std::max(kChunkBytes, sizeof size + size);
    chunks.emplace_back(new char[free_bytes]);
    chunk_end = chunks.back().get() + free_bytes;
  }
  char* const to = chunk_end - free_bytes;
  std::memcpy(to, &size, sizeof size);
  std::memcpy(to + sizeof size, token.data(), size);
  free_bytes -= sizeof size + size;
  return {to + sizeof size, size};
}

void TokenTable::Shard::grow() {
  std::vector<Slot> larger(2 * slots.size());
  const size_t mask = larger.size() - 1;
  for (const Slot& slot : slots) {
    if (slot.index == 0) continue;
    size_t place = slot.hash & mask;
    while (larger[place].index != 0) place = (place + 1) & mask;
    larger[place] = slot;
  }
  slots = std::move(larger);
}

TokenTable::Found TokenTable::add(const HashedToken& token) {
  const uint32_t number = static_cast<uint32_t>(token.hash >> (64 - kShardBits));
  const uint32_t tag = static_cast<uint32_t>(token.hash);
  Shard& shard = shards_[number];
  const std::lock_guard<std::mutex> lock(shard.mutex);
  size_t mask = shard.slots.size() - 1;
  size_t place = tag & mask;
  for (; shard.slots[place].index != 0; place = (place + 1) & mask) {
    const Slot& slot = shard.slots[place];
    const size_t index = slot.index - 1;
    if (slot.hash != tag || !shard.texts[index].equals(token.text)) continue;
    return {static_cast<int32_t>(index * kShards + number), shard.texts[index]};
  }
  const size_t index = shard.texts.size();
  if (index == kMaxTokens / kShards) {
    throw Error(Status::input, "Expected at most " + std::to_string(kMaxTokens) + " different values of a feature");
  }
  const TokenText text(token.is_short() ? token.text : shard.keep(token.text));
  shard.texts.push_back(text);
  shard.slots[place] = {tag, static_cast<uint32_t>(index + 1)};
  if (2 * shard.texts.size() > shard.slots.size()) shard.grow();
  return {static_cast<int32_t>(index * kShards + number), text};
}

int64_t TokenTable::size() const {
  size_t size = 0;
  for (const Shard& shard : shards_) size += shard.texts.size();
  return static_cast<int64_t>(size);
}

int64_t TokenTable::bound() const {
  size_t longest = 0;
  for (const Shard& shard : shards_) longest = std::max(longest, shard.texts.size());
  return static_cast<int64_t>(longest * kShards);
}

std::vector<uint32_t>& TokenTable::uses() {
  uses_.resize(static_cast<size_t>(bound()));
  return uses_;
}

void TokenTable::counts(double* to) const {
  for (size_t s = 0; s < kShards; ++s) {
    for (size_t index = 0; index < shards_[s].texts.size(); ++index) *to++ = uses_[index * kShards + s];
  }
}

// ---- vocabularies ---------------------------------------------------------------------------------------------------

// A token to sort: most comparisons need no look at its text.
struct TokenTable::Kept {
  uint64_t start;  // the first bytes after those that all tokens begin with, as a big-endian number
  uint32_t count;
  uint32_t number;
};

std::vector<TokenTable::Kept> TokenTable::kept(int64_t limit) const {
  std::vector<Kept> kept;
  std::string_view first;
  size_t shared = 0;  // number of bytes that all tokens begin with
  for (size_t s = 0; s < kShards; ++s) {
    const Shard& shard = shards_[s];
    for (size_t index = 0; index < shard.texts.size(); ++index) {
      const uint32_t number = static_cast<uint32_t>(index * kShards + s);
      if (uses_[number] <= limit) continue;
      const std::string_view token = shard.texts[index].view();
      if (kept.empty()) {
        first = token;
        shared = token.size();
      }
      shared = std::min(shared, token.size());
      while (token.compare(0, shared, first, 0, shared) != 0) --shared;
      kept.push_back({0, uses_[number], number});
    }
  }
  for (Kept& token : kept) {
    const std::string_view rest = text(token.number).view().substr(shared);
    for (size_t i = 0; i < sizeof token.start; ++i) {
      token.start = token.start << 8 | (i < rest.size() ? static_cast<unsigned char>(rest[i]) : 0);
    }
  }
  return kept;
}

TokenTable::Vocabulary TokenTable::vocabulary(int64_t limit, int64_t unknown, Threads* threads) const {
  std::vector<Kept> kept = this->kept(limit);
  sort_in_parallel(threads, &kept, [&](const Kept& a, const Kept& b) {
    if (a.count != b.count) return a.count > b.count;
    if (a.start != b.start) return a.start < b.start;
    return text(a.number).view() < text(b.number).view();
  });
  for (const uint32_t count : uses_) unknown += count > limit ? 0 : count;
  Vocabulary vocabulary;
  vocabulary.size = static_cast<int64_t>(kept.size()) + 1;
  vocabulary.ids.resize(static_cast<size_t>(bound()));
  std::vector<std::string> pieces = std::vector<std::string>(pieces_of(kept.size()));
  for_each_piece(threads, kept.size(), [&](size_t piece, size_t begin, size_t end) {
    std::string& lines = pieces[piece];
    for (size_t i = begin; i < end; ++i) {
      lines.append(text(kept[i].number).view()).push_back('\t');
      lines.append(std::to_string(kept[i].count)).push_back('\n');
      vocabulary.ids[kept[i].number] = static_cast<int32_t>(i + 1);
    }
  });
  size_t bytes = 0;
  for (const std::string& piece : pieces) bytes += piece.size();
  vocabulary.lines = "<unk>\t" + std::to_string(unknown) + "\n";
  vocabulary.lines.reserve(vocabulary.lines.size() + bytes);
  for (std::string& piece : pieces) {
    vocabulary.lines += piece;
    piece = std::string();
  }
  return vocabulary;
}

}  // namespace shortlist
