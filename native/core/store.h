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

// A lock for several readers or one writer. A waiting writer blocks new readers, so that a steady stream of readers
// cannot starve it.
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

// The tensors that are kept between runs, by name: parameters, constants and optimizer state. Several executors
// may use one store. Runs that only read it are concurrent; a run that writes it has it for itself. The functions of
// this class take no lock: the caller must not write while a run uses the store, nor read while a run changes it.
class Store {
 public:
  struct Stored {
    std::string name;
    Dtype dtype;
    std::vector<int64_t> shape;  // at most 2 axes
    int64_t elements;
    Memory memory;  // its address never changes
  };

  // Adds a tensor, filled with zeros. Throws Error(Status::executor) if the name is taken and Error(Status::program) if
  // the shape has more than 2 axes, a negative size or too many elements.
  void define(const std::string& name, Dtype dtype, const std::vector<int64_t>& shape);

  // The tensor with this name. Throws Error(Status::executor) if there is none.
  const Stored& at(const std::string& name) const;
  // The tensor with this name, or nullptr.
  const Stored* find(const std::string& name) const;
  const std::vector<std::unique_ptr<Stored>>& tensors() const { return tensors_; }  // in the order of definition

  // The number of calls of `write`, `load` and `fill` so far.
  int64_t writes() const { return writes_; }

  // Copies `count` 4-byte elements into or out of a tensor, starting at its element `offset`. Throws
  // Error(Status::input) if they lie outside of it or `dtype` is not the tensor's.
  void write(const std::string& name, Dtype dtype, const void* values, int64_t offset, int64_t count);
  void read(const std::string& name, void* values, int64_t offset, int64_t count) const;

  // The number of elements of a row of a tensor; 1 if it has one axis.
  int64_t row_elements(const std::string& name) const;
  // Copies the rows of a tensor with these `count` numbers, one behind the other. Throws Error(Status::input) for a row
  // that it does not have.
  void read_rows(const std::string& name, const int32_t* rows, int64_t count, void* values) const;

  // The index of the first NaN or infinity among `count` elements from `offset` on, or, if it is
  // negative, to the end; −1 if there is none or the tensor is not float32. Throws Error(Status::input) if there are
  // not so many elements.
  int64_t first_not_finite(const std::string& name, int64_t offset = 0, int64_t count = -1) const;

  // Fills `count` elements from `offset` on with those at byte `position` of an open file, and returns
  // first_not_finite of them. Messages show `path`. Throws Error(Status::input) if the elements lie outside of the
  // tensor, and Error(Status::file) if the file cannot be read or is too short.
  int64_t load(const std::string& name, int descriptor, const std::string& path, int64_t position, int64_t offset,
               int64_t count);

  // Fills a float32 tensor with random values. Throws Error(Status::input) for another dtype.
  void fill(const std::string& name, const RandomValues& random);

 private:
  friend class Executor;

  std::vector<std::unique_ptr<Stored>> tensors_;
  std::unordered_map<std::string, const Stored*> by_name_;
  int64_t writes_ = 0;
  TurnLock lock_;  // held by runs
};

}  // namespace shortlist
