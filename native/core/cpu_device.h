#pragma once

#include <string>

#include "native/core/cpu.h"
#include "native/core/device.h"
#include "native/core/threads.h"

namespace shortlist {

// The processor: the kernels of one instruction set and a pool of threads. All runs use this pool. A run that finds
// it busy computes on its own thread until the pool is free (Threads::run), so no run waits for another.
class CpuDevice : public Device {
 public:
  // `thread_count` includes the caller's thread; `isa` is a name for select_isa. Throws what select_isa and Threads do.
  CpuDevice(int thread_count, const std::string& isa) : isa_(select_isa(isa)), threads_(thread_count) {}

  const char* isa() const { return isa_.name; }
  int thread_count() const { return threads_.count(); }

  Threads* threads() { return &threads_; }
  const SearchKernels& search_kernels() const { return *isa_.search; }

  const Op* const* ops() const override { return isa_.ops; }
  Memory allocate(size_t bytes) override { return Memory(bytes); }
  void copy_in(void* to, const void* from, size_t bytes) override;
  void copy_out(void* to, const void* from, size_t bytes) override;
  void begin_run() override { threads_.begin_run(); }
  void end_run() override { threads_.end_run(); }
  void execute(const Op& op, Call* call) override;

 private:
  Isa isa_;
  Threads threads_;
};

}  // namespace shortlist
