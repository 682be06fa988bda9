#include "native/data/words.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

#include "native/core/text.h"

namespace shortlist {
namespace {

struct Range {
  uint32_t first, last;
};

// Code points first, first + step, … last, which are folded to the code point that is `delta` further.
struct Run {
  uint32_t first, last, step;
  int32_t delta;
};

// A code point that is folded to several: `count` of them from kPool[at] on.
struct Expansion {
  uint32_t point;
  uint16_t at, count;
};

#include "native/data/words.inc"

// The last element whose first code point is not above `point`; nullptr if there is none.
template <class Element, size_t count>
const Element* find(const Element (&table)[count], uint32_t Element::*first, uint32_t point) {
  const auto after = std::upper_bound(std::begin(table), std::end(table), point,
                                      [&](uint32_t wanted, const Element& element) { return wanted < element.*first; });
  return after == std::begin(table) ? nullptr : after - 1;
}

template <size_t count>
bool contains(const Range (&ranges)[count], uint32_t point) {
  const Range* const range = find(ranges, &Range::first, point);
  return range != nullptr && point <= range->last;
}

void append_utf8(uint32_t point, std::string* text) {
  const auto push = [&](uint32_t byte) { text->push_back(static_cast<char>(byte)); };
  if (point < 0x80) return push(point);
  if (point < 0x800) {
    push(0xc0 | point >> 6);
  } else {
    if (point < 0x10000) {
      push(0xe0 | point >> 12);
    } else {
      push(0xf0 | point >> 18);
      push(0x80 | (point >> 12 & 0x3f));
    }
    push(0x80 | (point >> 6 & 0x3f));
  }
  push(0x80 | (point & 0x3f));
}

// Collects words from folded code points.
class Words {
 public:
  void add(uint32_t point) {
    const bool is_letter =
        point < 0x80 ? (point >= 'a' && point <= 'z') || (point >= '0' && point <= '9') : contains(kLetters, point);
    if (is_letter || (in_word_ && contains(kMarks, point))) {
      if (!in_word_) words_.emplace_back();
      in_word_ = true;
      append_utf8(point, &words_.back());
    } else {
      in_word_ = false;
    }
  }

  void add_folded(uint32_t point) {
    if (point < 0x80) return add(point >= 'A' && point <= 'Z' ? point + ('a' - 'A') : point);
    const Run* const run = find(kRuns, &Run::first, point);
    if (run && point <= run->last && (point - run->first) % run->step == 0) {
      return add(static_cast<uint32_t>(static_cast<int32_t>(point) + run->delta));
    }
    const Expansion* const expansion = find(kExpansions, &Expansion::point, point);
    if (!expansion || expansion->point != point) return add(point);
    for (uint16_t i = 0; i < expansion->count; ++i) add(kPool[expansion->at + i]);
  }

  std::vector<std::string> take() { return std::move(words_); }

 private:
  std::vector<std::string> words_;
  bool in_word_ = false;
};

}  // namespace

std::vector<std::string> query_tokens(std::string_view query) {
  Words words;
  for (size_t at = 0, bytes; at < query.size(); at += bytes) words.add_folded(decode_utf8(query.substr(at), &bytes));
  std::vector<std::string> tokens = words.take();
  const size_t count = tokens.size();
  for (size_t i = 1; i < count; ++i) tokens.push_back(tokens[i - 1] + " " + tokens[i]);
  return tokens;
}

}  // namespace shortlist
