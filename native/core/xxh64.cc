#include "native/core/xxh64.h"

#include <cstring>

namespace shortlist {
namespace {

const uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F, kPrime3 = 0x165667B19E3779F9,
               kPrime4 = 0x85EBCA77C2B2AE63, kPrime5 = 0x27D4EB2F165667C5;

uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

// Little-endian numbers, as on every processor that the engine runs on.
template <class T>
T load(const unsigned char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

uint64_t round(uint64_t sum, uint64_t lane) { return rotate(sum + lane * kPrime2, 31) * kPrime1; }

uint64_t merge(uint64_t hash, uint64_t sum) { return (hash ^ round(0, sum)) * kPrime1 + kPrime4; }

// Hashes the stripes of 32 bytes, and moves *at behind them.
uint64_t hash_stripes(const unsigned char** at, const unsigned char* end, uint64_t seed) {
  uint64_t a = seed + kPrime1 + kPrime2, b = seed + kPrime2, c = seed, d = seed - kPrime1;
  const unsigned char* p = *at;
  for (; end - p >= 32; p += 32) {
    a = round(a, load<uint64_t>(p));
    b = round(b, load<uint64_t>(p + 8));
    c = round(c, load<uint64_t>(p + 16));
    d = round(d, load<uint64_t>(p + 24));
  }
  *at = p;
  const uint64_t hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
  return merge(merge(merge(merge(hash, a), b), c), d);
}

}  // namespace

uint64_t xxh64(const void* bytes, size_t count, uint64_t seed) {
  const unsigned char* p = static_cast<const unsigned char*>(bytes);
  const unsigned char* const end = p + count;
  uint64_t hash = count >= 32 ? hash_stripes(&p, end, seed) : seed + kPrime5;
  hash += count;
  for (; end - p >= 8; p += 8) hash = rotate(hash ^ round(0, load<uint64_t>(p)), 27) * kPrime1 + kPrime4;
  if (end - p >= 4) {
    hash = rotate(hash ^ load<uint32_t>(p) * kPrime1, 23) * kPrime2 + kPrime3;
    p += 4;
  }
  for (; p < end; ++p) hash = rotate(hash ^ *p * kPrime5, 11) * kPrime1;
  hash = (hash ^ hash >> 33) * kPrime2;
  hash = (hash ^ hash >> 29) * kPrime3;
  return hash ^ hash >> 32;
}

}  // namespace shortlist
