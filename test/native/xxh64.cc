// Values that the package xxhash computes, for the empty text, whole stripes, and every kind of rest.

#include "native/core/xxh64.h"

#include <string>

#include "test/native/check.h"

using namespace shortlist;

namespace {

uint64_t hash_of(const std::string& text, uint64_t seed = 0) { return xxh64(text.data(), text.size(), seed); }

}  // namespace

int main() {
  CHECK(hash_of("") == 0xef46db3751d8e999);
  CHECK(hash_of("abc") == 0x44bc2cf5ad770999);
  CHECK(hash_of(std::string(1000000, 'a')) == 0xdc483aaa9b4fdc40);
  CHECK(hash_of("abcdefghabcdefghabcdefghabcdefghabcdefghxyz1234", 7) == 0x446b8a8c9d39387b);
  // The hash of 0 to 100 letters, each with that of the one before as its seed.
  uint64_t chain = 0;
  for (size_t length = 0; length <= 100; ++length) chain = hash_of(std::string(length, 'x'), chain);
  CHECK(chain == 0xb2b9b83c4ccce084);
  return failures() > 0;
}
