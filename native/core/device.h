#pragma once

#include <cstddef>

#include "native/core/kernel.h"
#include "native/core/memory.h"

namespace shortlist {

// What Programs run on. A device has kernels, and memory for tensors. A Plan does not depend on it. Every function may
// be called by several threads at once.
class Device {
 public:
  virtual ~Device() = default;

  // The ops that the device has kernels for; ends with nullptr.
  virtual const Op* const* ops() const = 0;

  // Memory that is 64-byte aligned and uninitialised. The processor must be able to read it, too, because checks read
  // the ids of inputs. Throws Error(Status::executor) if there is not enough memory.
  virtual Memory allocate(size_t bytes) = 0;
  // Copies from the caller's memory to the device's, and from the device's to the caller's.
  virtual void copy_in(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_out(void* to, const void* from, size_t bytes) = 0;

  // Says that instructions will follow each other soon, and that they have ended; see InFlight.
  virtual void begin_run() = 0;
  virtual void end_run() = 0;

  // Computes one instruction. The op's check must have passed.
  virtual void execute(const Op& op, Call* call) = 0;
};

// While it exists, a run is in flight on the device.
class InFlight {
 public:
  explicit InFlight(Device* device) : device_(device) { device_->begin_run(); }
  ~InFlight() { device_->end_run(); }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

 private:
  Device* const device_;
};

}  // namespace shortlist
