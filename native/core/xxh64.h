#pragma once

#include <cstddef>
#include <cstdint>

namespace shortlist {

// XXH64 of some bytes (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md): a checksum at the speed of
// memory, against damage by accident. It is no protection against somebody who makes files that fit it.
uint64_t xxh64(const void* bytes, size_t count, uint64_t seed);

}  // namespace shortlist
