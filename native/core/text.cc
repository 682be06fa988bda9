#include "native/core/text.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <locale>
#include <sstream>

namespace shortlist {

size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  if (text.empty()) return 0;
  const int first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
    if (first == 0xed && byte(1) > 0x9f) return 0;  // surrogate
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first == 0xf0 && byte(1) < 0x90) return 0;  // overlong
    if (first == 0xf4 && byte(1) > 0x8f) return 0;  // past U+10FFFF
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
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

std::string quoted(std::string_view text) {
  const size_t most = 60;
  size_t length = text.size() < most ? text.size() : most;
  while (length > 0 && length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
  std::string out = "\"";
  for (const char c : text.substr(0, length)) {
    char escape[8];
    if (static_cast<unsigned char>(c) < 0x20) {
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + (length < text.size() ? "\"… (" + std::to_string(text.size()) + " bytes)" : "\"");
}

}  // namespace shortlist
