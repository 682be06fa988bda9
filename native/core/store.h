#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "native/core/initial_values.h"
#include "native/core/memory.h"
#include "native/core/tensor.h"

namespace shortlist {

// Lets in several readers or one writer. A writer that waits keeps new readers out, so that it does not wait for ever
// where readers come all the time.
class TurnLock {
 public:
  void lock() {
    entrance_.lock();
    inside_.lock();
  }
  void unlock() {
    inside_.unlock();
    entrance_.unlock();
  }
  void lock_shared() {
    const std::lock_guard<std::mutex> entrance(entrance_);
    inside_.lock_shared();
  }
  void unlock_shared() { inside_.unlock_shared(); }

 private:
  std::mutex entrance_;
  std::shared_mutex inside_;
};

// The tensors that live between runs: parameters, constants and optimizer state, by name. Several executors may share a
// store: runs that only read it go on side by side, one that writes is alone. Nothing else is locked: whoever holds a
// store keeps its own reads and writes away from a run.
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

  // Copies `count` 4-byte elements in or out, from element `offset` on. Throws Error(Status::input) where they do not
  // fit.
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
  TurnLock lock_;  // of the runs over it
};

}  // namespace shortlist
