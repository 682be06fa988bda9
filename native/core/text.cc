#include "native/core/text.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <locale>
#include <sstream>

namespace shortlist {

namespace {

// The bytes of the UTF-8 sequences that begin with `first`; 0 where none does.
size_t sequence_bytes(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

// How many bytes of `text` a well-formed sequence of `bytes` bytes can begin with; all of them where it has one.
size_t well_formed_bytes(std::string_view text, size_t bytes) {
  size_t at = 1;
  for (; at < bytes && at < text.size(); ++at) {
    unsigned char lowest = 0x80, highest = 0xbf;
    const unsigned char first = at == 1 ? static_cast<unsigned char>(text[0]) : 0;
    if (first == 0xe0) lowest = 0xa0;   // else overlong
    if (first == 0xed) highest = 0x9f;  // else a surrogate
    if (first == 0xf0) lowest = 0x90;   // else overlong
    if (first == 0xf4) highest = 0x8f;  // else past U+10FFFF
    const unsigned char byte = static_cast<unsigned char>(text[at]);
    if (byte < lowest || byte > highest) break;
  }
  return at;
}

}  // namespace

size_t utf8_length(std::string_view text) {
  const size_t bytes = text.empty() ? 0 : sequence_bytes(static_cast<unsigned char>(text[0]));
  return bytes > 0 && well_formed_bytes(text, bytes) == bytes ? bytes : 0;
}

bool is_utf8(std::string_view text) {
  const uint64_t high_bits = 0x8080808080808080;
  for (size_t at = 0; at < text.size();) {
    uint64_t eight;
    if (at + sizeof eight <= text.size()) {
      std::memcpy(&eight, text.data() + at, sizeof eight);
      if ((eight & high_bits) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    const size_t length = utf8_length(text.substr(at));
    if (length == 0) return false;
    at += length;
  }
  return true;
}

bool is_decimal(std::string_view text) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - begin;
  };
  const auto sign = [&] { at += at < text.size() && (text[at] == '+' || text[at] == '-'); };
  sign();
  size_t mantissa = digits();
  if (at < text.size() && text[at] == '.') {
    ++at;
    mantissa += digits();
  }
  if (mantissa == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    sign();
    if (digits() == 0) return false;
  }
  return at == text.size();
}

double parse_decimal(std::string_view text) {
  const bool negative = text[0] == '-';
  if (text[0] == '+') text.remove_prefix(1);
  double value = 0;
#if defined(__cpp_lib_to_chars)
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc()) return value;
#endif
  // The number is out of range. Of the functions of the standard library only a stream tells on which side,
  // independently of the locale; strtod stops at the point if the locale has a comma instead.
  std::istringstream stream{std::string(text)};
  stream.imbue(std::locale::classic());
  const bool fits = static_cast<bool>(stream >> value);
  const bool too_large = !fits && std::fabs(value) > 1;
  return too_large ? (negative ? -HUGE_VAL : HUGE_VAL) : value;
}

namespace {

const uint32_t kReplacement = 0xfffd;

}  // namespace

uint32_t decode_utf8(std::string_view text, size_t* bytes) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t expected = sequence_bytes(byte(0));
  *bytes = expected > 0 ? well_formed_bytes(text, expected) : 1;
  if (*bytes != expected) return kReplacement;
  if (expected == 1) return byte(0);
  uint32_t point = byte(0) & (0x7f >> expected);
  for (size_t i = 1; i < expected; ++i) point = point << 6 | (byte(i) & 0x3f);
  return point;
}

namespace {

// A code unit as JSON writes it, or "" where it stands for itself.
std::string json_escape(uint32_t unit) {
  switch (unit) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\b': return "\\b";
    case '\f': return "\\f";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: break;
  }
  if (unit >= 0x20 && (unit < 0xd800 || unit > 0xdfff)) return "";
  char escape[8];
  std::snprintf(escape, sizeof escape, "\\u%04x", unit);
  return escape;
}

}  // namespace

std::string quoted(std::string_view text) {
  const size_t most = 60;
  std::string out = "\"";
  size_t units = 0;
  for (size_t at = 0, bytes; at < text.size(); at += bytes) {
    const uint32_t point = decode_utf8(text.substr(at), &bytes);
    const size_t width = point > 0xffff ? 2 : 1;
    if (units < most) {
      if (units + width > most) {
        out += json_escape(0xd800 + ((point - 0x10000) >> 10));  // half of a pair, as JavaScript cuts it
      } else {
        const std::string escape = json_escape(point);
        if (!escape.empty()) out += escape;
        else if (point == kReplacement) out += "\xef\xbf\xbd";
        else out += text.substr(at, bytes);
      }
    }
    units += width;
  }
  return out + (units > most ? "\"… (" + std::to_string(units) + " characters)" : "\"");
}

}  // namespace shortlist
