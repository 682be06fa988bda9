#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "native/core/initial_values.h"
#include "native/core/memory.h"
#include "native/core/tensor.h"

namespace shortlist {

// The tensors that live between runs: parameters, constants and optimizer state, by name. Several executors may share a
// store: their runs take turns. Nothing else is locked: whoever holds a store keeps reads and writes away from a run.
class Store {
 public:
  struct Stored {
    std::string name;
    Dtype dtype;
    std::vector<int64_t> shape;  // at most 2 axes
    int64_t elements;
    Memory memory;  // never moves
  };

  // Makes room for a tensor, filled with zeros. Throws Error(Status::executor) where the name is taken.
  void define(const std::string& name, Dtype dtype, const std::vector<int64_t>& shape);

  // Throws Error(Status::executor) where there is none.
  const Stored& at(const std::string& name) const;
  const Stored* find(const std::string& name) const;
  const std::vector<std::unique_ptr<Stored>>& tensors() const { return tensors_; }  // in the order of definition

  // Rises with every write.
  int64_t writes() const { return writes_; }

  // Copies `count` 4-byte elements in or out, from element `offset` on. Throws Error(Status::input) where they do not fit.
  void write(const std::string& name, Dtype dtype, const void* values, int64_t offset, int64_t count);
  void read(const std::string& name, void* values, int64_t offset, int64_t count) const;

  // The first element that is NaN or infinite; −1 where there is none, as in a tensor of whole numbers.
  int64_t first_not_finite(const std::string& name) const;

  // Fills a float32 tensor with random values.
  void fill(const std::string& name, const RandomValues& random);

 private:
  friend class Executor;

  std::vector<std::unique_ptr<Stored>> tensors_;
  std::unordered_map<std::string, const Stored*> by_name_;
  int64_t writes_ = 0;
  std::mutex turn_;
};

}  // namespace shortlist
