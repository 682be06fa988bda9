#pragma once

#include <cstddef>

namespace shortlist {

// Builds for tests: every block has exactly its bytes, and what lies behind it cannot be touched. The address sanitizer
// finds that out; without it a page that cannot be accessed follows, which also stops instructions that no sanitizer
// looks at, and blocks then are aligned to 4 bytes.
#ifdef SHORTLIST_EXACT
const bool kExact = true;
#else
const bool kExact = false;
#endif

// Builds for tests: memory holds NaN before a run and every matrix has gaps between its rows, so that a kernel that
// reads what it should write, or takes a matrix to be dense, gives wrong results.
#ifdef SHORTLIST_POISON
const bool kPoison = true;
#else
const bool kPoison = false;
#endif

// A block of memory, 64-byte aligned. Large blocks come straight from the system, in huge pages where it has them, and
// cost nothing until they are touched. Throws Error(Status::executor) where there is none left.
class Memory {
 public:
  static const size_t kAlignment = 64;

  Memory() = default;
  // Not cleared.
  explicit Memory(size_t bytes) : Memory(bytes, false) {}
  // Zeros; of a large block, lazily.
  static Memory zeroed(size_t bytes) { return Memory(bytes, true); }
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Memory(size_t bytes, bool zero);

  void* data_ = nullptr;
  size_t bytes_ = 0;
  bool mapped_ = false;
};

// `bytes` rounded up to whole alignment units.
inline size_t aligned_size(size_t bytes) {
  return (bytes + Memory::kAlignment - 1) / Memory::kAlignment * Memory::kAlignment;
}

}  // namespace shortlist
