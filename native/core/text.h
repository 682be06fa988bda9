#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shortlist {

// The length of the well-formed UTF-8 sequence (RFC 3629) at the start of `text`; 0 if there is none.
size_t utf8_length(std::string_view text);

bool is_utf8(std::string_view text);

// Whether `text` is a decimal number in the grammar of click logs (src/data/sources/click_log.ts): an optional sign, at
// least one digit with at most one point, an optional exponent; no spaces.
bool is_decimal(std::string_view text);

// The float64 nearest to a text that passes is_decimal, in every locale; ±infinity if it is too large, ±0 if it is too
// small.
double parse_decimal(std::string_view text);

// `text` in double quotes, for messages: control characters are escaped as \u0000, and a text of more than 60 bytes is
// cut off between two characters.
std::string quoted(std::string_view text);

}  // namespace shortlist
