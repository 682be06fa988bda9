#include "native/core/executor.h"

#include <chrono>
#include <shared_mutex>
#include <string>
#include <utility>

#include "native/core/error.h"

namespace shortlist {
namespace {

std::string format_sizes(const TensorSpec& spec, const std::vector<int64_t>& sizes) {
  std::string text;
  for (const Dim& dim : spec.shape) text += (text.empty() ? "" : ", ") + std::to_string(evaluate(dim, sizes));
  return "[" + text + "]";
}

// Throws unless an array has the input's dtype and `expected` elements.
void check_array(const TensorSpec& spec, const InputArray& array, int64_t expected, const std::vector<int64_t>& sizes) {
  if (!array.present) throw Error(Status::input, "Missing input \"" + spec.name + "\"");
  if (array.dtype != spec.dtype) {
    throw Error(Status::input, "Expected values of " + std::string(name_of(spec.dtype)) + " for input \"" + spec.name +
                                   "\" but received " + name_of(array.dtype));
  }
  if (array.elements != expected) {
    throw Error(Status::input, "Expected " + std::to_string(expected) + " values for input \"" + spec.name + "\" " +
                                   format_sizes(spec, sizes) + " but received " + std::to_string(array.elements));
  }
}

}  // namespace

Executor::Executor(Program program, std::shared_ptr<Store> store, std::shared_ptr<Device> device, bool profile)
    : plan_(std::move(program), device->ops()), store_(std::move(store)), device_(std::move(device)) {
  check_store();
  if (profile) seconds_.resize(plan_.program().instructions.size());
}

void Executor::check_store() const {
  for (const TensorSpec& spec : plan_.program().tensors) {
    if (!stored(spec.role)) continue;
    const Store::Stored* found = store_->find(spec.name);
    if (found == nullptr) {
      throw Error(Status::executor, "The store has no " + std::string(name_of(spec.role)) + " \"" + spec.name + "\"");
    }
    std::vector<Dim> shape;
    for (const int64_t size : found->shape) {
      shape.emplace_back();
      shape.back().constant = size;
    }
    if (!(shape == spec.shape)) {
      throw Error(Status::program, "Expected \"" + spec.name + "\" " + format_shape(plan_.program(), spec.shape) +
                                       " but the store has " + format_shape(plan_.program(), shape));
    }
    if (found->dtype != spec.dtype) {
      throw Error(Status::program, "Expected \"" + spec.name + "\" of " + name_of(spec.dtype) + " but the store has " +
                                       name_of(found->dtype));
    }
  }
}

std::unique_ptr<RunInputs> Executor::prepare(const std::vector<int64_t>& sizes, const std::vector<InputArray>& inputs,
                                             std::unique_ptr<RunInputs> over) const {
  std::unique_ptr<RunInputs> prepared = over ? std::move(over) : std::make_unique<RunInputs>();
  prepared->extents = plan_.extents(sizes);
  const size_t count = plan_.inputs().size();
  prepared->arrays.resize(count);
  prepared->bounds.assign(count, Bounds{});
  for (size_t i = 0; i < count; ++i) {
    const int tensor = plan_.inputs()[i];
    check_array(plan_.program().tensors[tensor], inputs[i], prepared->extents[tensor].elements(), sizes);
  }
  for (size_t i = 0; i < count; ++i) {
    Memory& memory = prepared->arrays[i];
    const size_t bytes = static_cast<size_t>(inputs[i].elements) * kBytesPerElement;
    if (kExact || memory.bytes() < bytes || memory.data() == nullptr) memory = device_->allocate(bytes);
    device_->copy_in(memory.data(), inputs[i].data, bytes);
    if (inputs[i].dtype == Dtype::int32)
      prepared->bounds[i] = bounds_of(static_cast<const int32_t*>(memory.data()), inputs[i].elements);
  }
  return prepared;
}

void Executor::set_scalar(RunInputs* inputs, size_t input, uint32_t bits) const {
  device_->copy_in(inputs->arrays[input].data(), &bits, sizeof bits);
  if (plan_.program().tensors[plan_.inputs()[input]].dtype == Dtype::int32) {
    inputs->bounds[input] = bounds_of(static_cast<const int32_t*>(inputs->arrays[input].data()), 1);
  }
}

RunOutputs Executor::execute(const RunInputs& inputs) {
  std::unique_ptr<RunState> state = states_.take();
  if (!state) state = std::make_unique<RunState>(plan_, *store_, *device_);
  RunOutputs outputs(this, std::move(state));
  if (plan_.writes_store()) {
    const std::unique_lock<TurnLock> alone(store_->lock_);
    compute(outputs.state_.get(), inputs);
  } else {
    const std::shared_lock<TurnLock> beside_others(store_->lock_);
    compute(outputs.state_.get(), inputs);
  }
  return outputs;
}

void Executor::compute(RunState* state, const RunInputs& inputs) {
  const InFlight run(device_.get());
  state->start(inputs);
  if (!seconds_.empty()) return compute_timed(state);
  for (size_t i = 0; i < plan_.ops().size(); ++i) state->execute(i);
}

void Executor::compute_timed(RunState* state) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (size_t i = 0; i < plan_.ops().size(); ++i) {
    const Clock::time_point start = Clock::now();
    state->execute(i);
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  const std::lock_guard<std::mutex> lock(profile_mutex_);
  for (size_t i = 0; i < seconds.size(); ++i) seconds_[i] += seconds[i];
}

std::vector<double> Executor::profile() const {
  const std::lock_guard<std::mutex> lock(profile_mutex_);
  return seconds_;
}

RunOutputs::~RunOutputs() {
  if (state_) executor_->states_.give_back(std::move(state_));
}

void RunOutputs::copy(int tensor, void* to) const {
  const Tensor& value = at(tensor);
  const size_t row_bytes = static_cast<size_t>(value.columns) * kBytesPerElement;
  if (value.rows == 0 || row_bytes == 0) return;
  Device& device = *executor_->device_;
  if (value.stride == value.columns)
    return device.copy_out(to, value.data, row_bytes * static_cast<size_t>(value.rows));
  for (int64_t r = 0; r < value.rows; ++r)
    device.copy_out(static_cast<char*>(to) + r * row_bytes, value.row(r), row_bytes);
}

}  // namespace shortlist
