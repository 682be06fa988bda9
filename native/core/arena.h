#pragma once

#include <cstddef>
#include <vector>

#include "native/core/memory.h"

namespace shortlist {

// A bump allocator. Memory stays valid until `reset`; what did not fit is joined into one block by the reset after it,
// so that the same demands allocate nothing the next time.
class Arena {
 public:
  // 64-byte aligned, not cleared.
  void* allocate(size_t bytes);
  void reset();

 private:
  Memory block_;
  size_t used_ = 0;
  std::vector<Memory> overflow_;
  size_t overflow_bytes_ = 0;
};

}  // namespace shortlist
