#pragma once

#include <cstddef>
#include <vector>

#include "native/core/device.h"
#include "native/core/memory.h"

namespace shortlist {

// A bump allocator over a device's memory. Memory stays valid until `reset`; what did not fit is joined into one block
// by the reset after it, so that the same demands allocate nothing the next time.
class Arena {
 public:
  // `device` must outlive it.
  explicit Arena(Device* device) : device_(device) {}

  // 64-byte aligned, not cleared.
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
