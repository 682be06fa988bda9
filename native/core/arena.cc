#include "native/core/arena.h"

#include <utility>

namespace shortlist {

void* Arena::allocate(size_t bytes) {
  if (!kExact) bytes = aligned_size(bytes > 0 ? bytes : 1);
  if (!kExact && bytes <= block_.bytes() - used_) {
    void* data = static_cast<char*>(block_.data()) + used_;
    used_ += bytes;
    return data;
  }
  overflow_.push_back(device_->allocate(bytes));
  overflow_bytes_ += bytes;
  return overflow_.back().data();
}

void Arena::reset() {
  if (!overflow_.empty()) {
    const size_t demand = used_ + overflow_bytes_;
    overflow_.clear();
    overflow_bytes_ = 0;
    block_ = Memory();
    if (!kExact) block_ = device_->allocate(demand);
  }
  used_ = 0;
}

}  // namespace shortlist
