#pragma once

#include <string>
#include <string_view>

namespace shortlist {

// SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits. A model folder records the hash of each of its files.
std::string sha256(std::string_view bytes);

}  // namespace shortlist
