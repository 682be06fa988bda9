#include "native/train/steps.h"

#include <chrono>
#include <utility>

#include "native/core/error.h"

namespace shortlist {

StepLoop::StepLoop(std::shared_ptr<Batcher> batcher, std::shared_ptr<Executor> executor)
    : executor_(std::move(executor)), prefetch_(std::move(batcher), executor_) {
  const std::vector<int>& sources = prefetch_.sources();
  for (size_t input = 0; input < sources.size(); ++input) {
    if (sources[input] < 0) scalar_inputs_.push_back(input);
  }
}

StepLoop::Steps StepLoop::prepare(int64_t epoch, int64_t index, int64_t count,
                                  const std::vector<InputArray>& scalars) const {
  const int64_t batches = prefetch_.batcher().batches_per_epoch();
  if (epoch < 0 || index < 0 || count < 0 || index > batches - count) {
    throw Error(Status::option, "Expected steps within the " + std::to_string(batches) +
                                    " batches of an epoch but received " + std::to_string(count) + " from " +
                                    std::to_string(index) + " on in epoch " + std::to_string(epoch));
  }
  Steps steps = {epoch, index, count, {}};
  for (size_t i = 0; i < scalar_inputs_.size(); ++i) {
    const Plan& plan = executor_->plan();
    const TensorSpec& spec = plan.program().tensors[plan.inputs()[scalar_inputs_[i]]];
    if (i >= scalars.size() || !scalars[i].present || !spec.shape.empty()) {
      throw Error(Status::input, "Missing input \"" + spec.name + "\"");
    }
    const InputArray& scalar = scalars[i];
    if (scalar.dtype != spec.dtype || (scalar.elements != 1 && scalar.elements != count)) {
      throw Error(Status::input, "Expected 1 or " + std::to_string(count) + " elements of " + name_of(spec.dtype) +
                                     " for input \"" + spec.name + "\" but received " +
                                     std::to_string(scalar.elements) + " of " + name_of(scalar.dtype));
    }
    const uint32_t* bits = static_cast<const uint32_t*>(scalar.data);
    steps.scalars.push_back({scalar_inputs_[i], std::vector<uint32_t>(bits, bits + scalar.elements)});
  }
  return steps;
}

StepLoop::Result StepLoop::run(const Steps& steps) {
  using Clock = std::chrono::steady_clock;
  const std::vector<uint32_t> empty(static_cast<size_t>(steps.count));
  Result result;
  std::vector<int> outputs;  // index of the tensor of each column of result.outputs
  for (const int tensor : executor_->plan().outputs()) {
    const TensorSpec& spec = executor_->plan().program().tensors[tensor];
    if (!spec.shape.empty()) continue;
    outputs.push_back(tensor);
    result.outputs.push_back({spec.name, spec.dtype, empty});
  }
  for (const Batch::Dim& dim : prefetch_.layout().dims) result.dims.push_back({dim.name, Dtype::int32, empty});

  for (int64_t i = 0; i < steps.count; ++i) {
    const size_t at = static_cast<size_t>(i);
    const Clock::time_point start = Clock::now();
    std::unique_ptr<Prefetch::Step> step = prefetch_.take(steps.epoch, steps.index + i);
    result.seconds_waited += std::chrono::duration<double>(Clock::now() - start).count();
    for (const Steps::Scalar& scalar : steps.scalars) {
      executor_->set_scalar(step->inputs.get(), scalar.input, scalar.bits[scalar.bits.size() > 1 ? at : 0]);
    }
    const RunOutputs run = executor_->execute(*step->inputs);
    for (size_t o = 0; o < outputs.size(); ++o) run.copy(outputs[o], &result.outputs[o].bits[at]);
    for (size_t d = 0; d < result.dims.size(); ++d) result.dims[d].bits[at] = static_cast<uint32_t>(step->dims[d]);
    prefetch_.recycle(std::move(step));
  }
  return result;
}

}  // namespace shortlist
