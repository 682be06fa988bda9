#pragma once

#include <cstddef>
#include <cstdint>

namespace shortlist {

// In test builds with SHORTLIST_EXACT every block has exactly the size that was asked for, and an access behind it
// fails. Under the address sanitizer, that reports it. Otherwise a page without access rights follows the block, which
// also catches instructions that sanitizers do not check; blocks are then aligned to 4 bytes only.
#ifdef SHORTLIST_EXACT
const bool kExact = true;
#else
const bool kExact = false;
#endif

// In test builds with SHORTLIST_POISON memory holds NaN before a run, and every matrix of fixed width has gaps between
// its rows. A kernel that reads an element before it is written, or assumes that rows are contiguous, then gives wrong
// results.
#ifdef SHORTLIST_POISON
const bool kPoison = true;
#else
const bool kPoison = false;
#endif

// A block of memory, 64-byte aligned. Large blocks are mapped from the operating system, in huge pages if it has them,
// and use no physical memory until they are touched. Constructors throw Error(Status::executor) if there is not enough
// memory.
class Memory {
 public:
  static const size_t kAlignment = 64;

  Memory() = default;
  // Uninitialised.
  explicit Memory(size_t bytes) : Memory(bytes, false) {}
  // Filled with zeros. The operating system clears large blocks page by page, at the first access.
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

// Elements of 4 bytes in a cache line.
const int64_t kElementsPerLine = static_cast<int64_t>(Memory::kAlignment) / 4;

// `bytes` rounded up to a multiple of kAlignment.
inline size_t aligned_size(size_t bytes) {
  return (bytes + Memory::kAlignment - 1) / Memory::kAlignment * Memory::kAlignment;
}

}  // namespace shortlist
