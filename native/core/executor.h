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

// The array that the caller passes for one input.
struct InputArray {
  const void* data = nullptr;  // row-major; need not be aligned
  int64_t elements = 0;
  Dtype dtype = Dtype::float32;
  bool present = false;
};

class Executor;

// The outputs of one run. They hold the memory of the run until they are destroyed. The executor must outlive them.
class RunOutputs {
 public:
  RunOutputs(RunOutputs&&) = default;
  RunOutputs& operator=(RunOutputs&&) = delete;
  ~RunOutputs();

  // The output with this index into the Program's tensors. Its rows are Tensor::stride elements apart.
  const Tensor& at(int tensor) const { return state_->value(tensor); }
  // Copies the elements of an output to `to`, row-major without gaps.
  void copy(int tensor, void* to) const;

 private:
  friend class Executor;
  RunOutputs(Executor* executor, std::unique_ptr<RunState> state) : executor_(executor), state_(std::move(state)) {}

  Executor* executor_;
  std::unique_ptr<RunState> state_;
};

// Runs one Program over a store, on a device. Any number of threads may call it at once, because every run has its own
// memory. Runs that only read the store are concurrent. A run that changes stored tensors has the store for itself.
class Executor {
 public:
  // With `profile` the executor measures the time of every instruction. Throws Error(Status::program) as Plan does, and
  // also if a stored tensor has another shape or dtype; Error(Status::executor) if one is missing.
  Executor(Program program, std::shared_ptr<Store> store, std::shared_ptr<Device> device, bool profile);

  const Plan& plan() const { return plan_; }

  // Checks and copies the inputs, which are in the order of plan().inputs(). `sizes` has one size for each of the
  // Program's dims. The memory of `over`, the inputs of a finished run, is reused if given. Throws Error(Status::input)
  // for an input that is missing or of another dtype or length.
  std::unique_ptr<RunInputs> prepare(const std::vector<int64_t>& sizes, const std::vector<InputArray>& inputs,
                                     std::unique_ptr<RunInputs> over = nullptr) const;

  // Sets the element of a scalar input to these bits. `input` is an index into plan().inputs().
  void set_scalar(RunInputs* inputs, size_t input, uint32_t bits) const;

  // Runs the checks of all instructions, then the instructions. Throws Error(Status::input) or (Status::program) if a
  // check fails; no stored tensor has changed then.
  RunOutputs execute(const RunInputs& inputs);

  // Seconds spent in each instruction, summed over all runs; empty without `profile`.
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
