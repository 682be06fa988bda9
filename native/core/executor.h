#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "native/core/device.h"
#include "native/core/plan.h"
#include "native/core/program.h"
#include "native/core/run_state.h"
#include "native/core/store.h"

namespace shortlist {

// What a run is given for one input.
struct InputArray {
  const void* data = nullptr;  // row-major, need not be aligned
  int64_t elements = 0;
  Dtype dtype = Dtype::float32;
  bool present = false;
};

class Executor;

// The outputs of a run. They keep the memory of the run until they are destroyed; their executor must outlive them.
class RunOutputs {
 public:
  RunOutputs(RunOutputs&&) = default;
  RunOutputs& operator=(RunOutputs&&) = delete;
  ~RunOutputs();

  // An output, by index into the Program's tensors; rows may lie apart.
  const Tensor& at(int tensor) const { return state_->value(tensor); }
  // Its elements without gaps.
  void copy(int tensor, void* to) const;

 private:
  friend class Executor;
  RunOutputs(Executor* executor, std::unique_ptr<RunState> state) : executor_(executor), state_(std::move(state)) {}

  Executor* executor_;
  std::unique_ptr<RunState> state_;
};

// Runs one Program over a store on a device. Any number of threads may call it at once: a run has its memory to itself.
// A run that changes stored tensors waits for the other runs over the store, and these wait for it; all others run side
// by side.
class Executor {
 public:
  // Throws Error(Status::program) as Plan does, and Error(Status::executor) or (Status::program) for stored tensors
  // that are missing or of another shape.
  Executor(Program program, std::shared_ptr<Store> store, std::shared_ptr<Device> device, bool profile);

  const Plan& plan() const { return plan_; }

  // Copies the inputs, in the order of plan().inputs(); `sizes` are those of the Program's dims. Throws
  // Error(Status::input). The memory of a run that is `over` is used again.
  std::unique_ptr<RunInputs> prepare(const std::vector<int64_t>& sizes, const std::vector<InputArray>& inputs,
                                     std::unique_ptr<RunInputs> over = nullptr) const;

  // Sets the one element of input number `input`.
  void set_scalar(RunInputs* inputs, size_t input, uint32_t bits) const;

  // Runs every check, then every instruction. Where it throws Error(Status::input), nothing has changed.
  RunOutputs execute(const RunInputs& inputs);

  // Seconds spent in each instruction over all runs; empty unless asked for.
  std::vector<double> profile() const;

 private:
  friend class RunOutputs;

  void check_store() const;
  void compute(RunState* state, const RunInputs& inputs);
  void compute_timed(RunState* state);

  const Plan plan_;
  const std::shared_ptr<Store> store_;
  const std::shared_ptr<Device> device_;
  RunStates states_;
  mutable std::mutex profile_mutex_;
  std::vector<double> seconds_;
};

}  // namespace shortlist
