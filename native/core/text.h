#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace shortlist {

// The length of the well-formed UTF-8 sequence (RFC 3629) at the start of `text`; 0 if there is none.
size_t utf8_length(std::string_view text);

bool is_utf8(std::string_view text);

// The code point that `text` begins with, and the number of its bytes. Where it is no UTF-8, U+FFFD stands for the
// bytes that a sequence could begin with, or for one byte.
uint32_t decode_utf8(std::string_view text, size_t* bytes);

// Whether `text` is a decimal number in the grammar of click logs (src/data/sources/click_log.ts): an optional sign, at
// least one digit with at most one point, an optional exponent; no spaces.
bool is_decimal(std::string_view text);

// The float64 nearest to a text that passes is_decimal, in every locale; ±infinity if it is too large, ±0 if it is too
// small.
double parse_decimal(std::string_view text);

// `text` for messages, as src/data/sources/click_log.ts quotes it: a JSON string of at most its first 60 UTF-16 code
// units, followed by their number if there are more. Malformed UTF-8 becomes U+FFFD, as the Encoding Standard says.
std::string quoted(std::string_view text);

}  // namespace shortlist
