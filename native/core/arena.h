#pragma once

#include <cstddef>
#include <vector>

#include "native/core/device.h"
#include "native/core/memory.h"

namespace shortlist {

// A bump allocator over a device's memory. Allocations stay valid until `reset`. Those that do not fit the block get
// memory of their own; the next `reset` enlarges the block, so that the same allocations then fit.
class Arena {
 public:
  // `device` must outlive the arena.
  explicit Arena(Device* device) : device_(device) {}

  // 64-byte aligned and uninitialised. Throws what Device::allocate throws.
  void* allocate(size_t bytes);
  void reset();

 private:
  Device* device_;
  Memory block_;
  size_t used_ = 0;
  std::vector<Memory> overflow_;
  size_t overflow_bytes_ = 0;
};

}  // namespace shortlist
