#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/core/memory.h"
#include "native/core/tensor.h"

namespace shortlist {

// Memory for 4-byte elements that is used again and again. Growing keeps the elements; new ones are not cleared.
class Elements {
 public:
  int64_t size() const { return size_; }
  int32_t* ids() const { return static_cast<int32_t*>(memory_.data()); }
  float* numbers() const { return static_cast<float*>(memory_.data()); }
  const void* data() const { return memory_.data(); }

  void resize(int64_t size);
  void push(int32_t value) {
    resize(size_ + 1);
    ids()[size_ - 1] = value;
  }

 private:
  Memory memory_;
  int64_t size_ = 0;
};

// Inputs and dims of a run by name; src/data/batches.ts says what they hold.
struct Batch {
  struct Input {
    std::string name;
    Dtype dtype;
    Elements elements;
  };
  struct Dim {
    std::string name;
    int64_t size;
  };

  std::vector<Input> inputs;
  std::vector<Dim> dims;
};

}  // namespace shortlist
