#include "native/core/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "native/core/error.h"
#include "native/core/sanitizers.h"

namespace shortlist {
namespace {

const size_t kHugePage = size_t{2} << 20;
// Blocks of this size and more are mapped from the operating system, and returned to it when they are freed. malloc
// keeps freed blocks in a heap for each thread: in a training process, whose blocks grow with the batches, that was 16
// MB.
const size_t kLeastMapped = size_t{256} << 10;

[[noreturn]] void fail(size_t bytes) {
  throw Error(Status::executor,
              "Expected " + std::to_string(bytes) + " more bytes of memory but the system has none left");
}

#if defined(SHORTLIST_ADDRESS_SANITIZER)
const bool kSanitized = true;
#else
const bool kSanitized = false;
#endif

size_t page_size() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

size_t pages_of(size_t bytes) { return (bytes + page_size() - 1) / page_size() * page_size(); }

// A block that ends at the end of a page; the next page has no access rights.
void* allocate_before_guard(size_t bytes) {
  const size_t pages = pages_of(bytes);
  void* const begin = mmap(nullptr, pages + page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED || mprotect(static_cast<char*>(begin) + pages, page_size(), PROT_NONE) != 0) fail(bytes);
  return static_cast<char*>(begin) + pages - bytes;
}

void free_before_guard(void* data, size_t bytes) {
  const size_t pages = pages_of(bytes);
  munmap(static_cast<char*>(data) + bytes - pages, pages + page_size());
}

void* allocate_exactly(size_t bytes) {
  if (!kSanitized) return allocate_before_guard(bytes);
  void* data = nullptr;
  if (posix_memalign(&data, Memory::kAlignment, bytes) != 0) fail(bytes);
  return data;
}

}  // namespace

Memory::Memory(size_t bytes, bool zero) {
  if (bytes > SIZE_MAX / 4) fail(bytes);
  if (kExact) {
    bytes_ = bytes;
    data_ = allocate_exactly(bytes);
    std::memset(data_, zero ? 0 : 0xff, bytes);
    return;
  }
  bytes_ = aligned_size(bytes > 0 ? bytes : 1);
  mapped_ = bytes_ >= kLeastMapped;
  if (mapped_) {
    const bool huge = bytes_ >= 2 * kHugePage;
    if (huge) bytes_ = (bytes_ + kHugePage - 1) / kHugePage * kHugePage;
    data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED) {
      data_ = nullptr;
      fail(bytes);
    }
#ifdef MADV_HUGEPAGE
    if (huge) madvise(data_, bytes_, MADV_HUGEPAGE);  // a hint; its failure does not matter
#endif
    return;
  }
  data_ = std::aligned_alloc(kAlignment, bytes_);
  if (data_ == nullptr) fail(bytes);
  if (zero) std::memset(data_, 0, bytes_);
}

Memory::~Memory() {
  if (kExact && !kSanitized) {
    if (data_ != nullptr) free_before_guard(data_, bytes_);
  } else if (mapped_) {
    munmap(data_, bytes_);
  } else {
    std::free(data_);
  }
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      mapped_(std::exchange(other.mapped_, false)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

}  // namespace shortlist
