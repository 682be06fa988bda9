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

// The sizes of one run, and a copy of its inputs.
struct RunInputs {
  std::vector<Extent> extents;  // one for each of the Program's tensors
  std::vector<Memory> arrays;   // one for each of the Program's inputs
  std::vector<Bounds> bounds;   // one for each input; unknown unless it is int32
};

// The memory of one run of a Plan, and the addresses of its tensors. One run at a time uses a state. Later runs reuse
// its memory, which grows to the demand of the largest run.
class RunState {
 public:
  // The plan, the store and the device must outlive the state.
  RunState(const Plan& plan, const Store& store, Device& device);
  RunState(const RunState&) = delete;
  RunState& operator=(const RunState&) = delete;

  // Sets the size and address of every tensor, then runs the checks of all instructions. Throws what they throw; no
  // stored tensor has changed then.
  void start(const RunInputs& inputs);
  // Computes one instruction. Call it once for each instruction, in order.
  void execute(size_t instruction);

  const Tensor& value(int tensor) const { return values_[tensor]; }

 private:
  // The memory of one of the plan's buffers: bytes of arena_, or with kExact a block of its own.
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
  int64_t bounded_writes_ = -1;  // Store::writes() when the bounds of constants were last computed

  std::vector<Place> places_;  // one for each of the plan's buffers
  Memory arena_;
  Arena scratch_;

  std::vector<Bounds> bounds_;    // one for each of the Program's tensors; used if it is int32
  std::vector<Tensor> values_;    // one for each of the Program's tensors
  std::vector<Tensor> operands_;  // a copy of values_ for each of the plan's operands
  std::vector<Slot> slots_;       // points into operands_
  std::vector<Call> calls_;       // points into slots_
};

// A pool of idle states. A run takes the state that was used last, because its memory is most likely to be in a cache.
class RunStates {
 public:
  // An idle state, or nullptr.
  std::unique_ptr<RunState> take();
  // Keeps at most as many states as the machine has processors and frees the others.
  void give_back(std::unique_ptr<RunState> state);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<RunState>> idle_;
};

}  // namespace shortlist
