#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shortlist {

// Length of the well-formed UTF-8 sequence (RFC 3629) that `text` starts with; 0 where it is none.
size_t utf8_length(std::string_view text);

bool is_utf8(std::string_view text);

// Whether a text is a decimal number as click logs write them (src/data/sources/click_log.ts): digits with at most one
// point and at least one digit, a sign before them and an exponent after them where wanted; nothing else, no space
// either.
bool is_decimal(std::string_view text);

// The float64 nearest to a text that is_decimal, whatever the locale: ±infinity where it is too large, ±0 where it is
// too small.
double parse_decimal(std::string_view text);

// `text` in double quotes, for messages: control characters as \u0000, and no more than its first 60 bytes or so.
std::string quoted(std::string_view text);

}  // namespace shortlist
