#include "native/data/batch.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace shortlist {
namespace {

const int64_t kMinElements = 1024;

}  // namespace

void Elements::resize(int64_t size) {
  if (size * kBytesPerElement > static_cast<int64_t>(memory_.bytes())) {
    Memory grown(static_cast<size_t>(std::max(kMinElements, size + size / 2) * kBytesPerElement));
    if (size_ > 0) std::memcpy(grown.data(), memory_.data(), static_cast<size_t>(size_ * kBytesPerElement));
    memory_ = std::move(grown);
  }
  size_ = size;
}

}  // namespace shortlist
