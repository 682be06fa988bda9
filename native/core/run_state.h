#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "native/core/arena.h"
#include "native/core/device.h"
#include "native/core/kernel.h"
#include "native/core/plan.h"
#include "native/core/store.h"
#include "native/core/tensor.h"

namespace shortlist {

// What a run is given: its sizes and its inputs, copied.
struct RunInputs {
  std::vector<Extent> extents;  // one for each of the Program's tensors
  std::vector<Memory> arrays;   // one for each of its inputs
  std::vector<Bounds> bounds;   // of the inputs of int32
};

// The memory of one run of a Plan, and where its tensors are in it. One run uses it at a time; those that follow each
// other use the same memory, which grows with the largest of them.
class RunState {
 public:
  // Plan, store and device must outlive it.
  RunState(const Plan& plan, const Store& store, Device& device);
  RunState(const RunState&) = delete;
  RunState& operator=(const RunState&) = delete;

  // Gives every tensor its size and its place, then runs the check of every instruction. What it throws has changed no
  // stored tensor.
  void start(const RunInputs& inputs);
  // Computes an instruction; once, in the Program's order.
  void execute(size_t instruction);

  const Tensor& value(int tensor) const { return values_[tensor]; }

 private:
  // Where a buffer of the plan is: in the arena, or in builds for tests in memory of its own.
  struct Place {
    size_t bytes = 0, offset = 0;
    Memory exact;
  };

  void make_values(const Store& store);
  void make_calls();
  void bound_constants();
  void place_buffers(const std::vector<Extent>& extents);
  void grow_arena();
  void set_addresses(const RunInputs& inputs);
  void check() const;

  const Plan& plan_;
  const Store& store_;
  Device& device_;
  int64_t bounded_writes_ = -1;  // of the store, when its constants were last read for their bounds

  std::vector<Place> places_;  // one for each of the plan's buffers
  Memory arena_;
  Arena scratch_;

  std::vector<Bounds> bounds_;    // of the Program's int32 tensors; those of constants stay, others are a run's
  std::vector<Tensor> values_;    // one for each of the Program's tensors
  std::vector<Tensor> operands_;  // `values_` of the plan's operands
  std::vector<Slot> slots_;       // point into operands_
  std::vector<Call> calls_;       // point into slots_
};

// States that wait for the next run. A run takes the one that was used last, whose memory is the likeliest to be in a
// cache.
class RunStates {
 public:
  // nullptr where none is idle.
  std::unique_ptr<RunState> take();
  // More than runs can be executed at the same time are not kept.
  void give_back(std::unique_ptr<RunState> state);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<RunState>> idle_;
};

}  // namespace shortlist
