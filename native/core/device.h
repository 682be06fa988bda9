#pragma once

#include <cstddef>

#include "native/core/kernel.h"
#include "native/core/memory.h"

namespace shortlist {

// What runs are executed on: it has the kernels, and the memory that their tensors are in. A Plan does not know it.
// Everything may be called by several threads at once.
class Device {
 public:
  virtual ~Device() = default;

  // The ops that it has kernels for, ended by nullptr.
  virtual const Op* const* ops() const = 0;

  // 64-byte aligned and not cleared. The processor must be able to read it as well: checks look at the ids of inputs.
  // Throws Error(Status::executor) where there is none left.
  virtual Memory allocate(size_t bytes) = 0;
  // Copy between the caller's memory and the device's.
  virtual void copy_in(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_out(void* to, const void* from, size_t bytes) = 0;

  // Computes one instruction, after its op's check has passed.
  virtual void execute(const Op& op, Call* call) = 0;
};

}  // namespace shortlist
