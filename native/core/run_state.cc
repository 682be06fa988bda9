#include "native/core/run_state.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "native/core/error.h"
#include "native/core/threads.h"

namespace shortlist {

RunState::RunState(const Plan& plan, const Store& store, Device& device)
    : plan_(plan),
      store_(store),
      device_(device),
      places_(plan.buffers().size()),
      scratch_(&device),
      bounds_(plan.program().tensors.size()) {
  make_values(store);
  make_calls();
}

void RunState::make_values(const Store& store) {
  const std::vector<TensorSpec>& tensors = plan_.program().tensors;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorSpec& spec = tensors[i];
    Tensor value{};
    value.name = spec.name.c_str();
    value.dtype = spec.dtype;
    value.given = spec.role == Role::input || spec.role == Role::constant;
    value.index = static_cast<int32_t>(i);
    value.bounds = &bounds_[i];
    if (stored(spec.role)) value.data = store.at(spec.name).memory.data();
    values_.push_back(value);
  }
}

void RunState::make_calls() {
  operands_.resize(plan_.operands().size());
  const Tensor* operand = operands_.data();
  for (const int32_t count : plan_.slot_counts()) {
    slots_.push_back({operand, count});
    operand += count;
  }
  const Slot* slot = slots_.data();
  const std::vector<Instruction>& instructions = plan_.program().instructions;
  calls_.reserve(instructions.size());
  for (size_t i = 0; i < instructions.size(); ++i) {
    const Op& op = *plan_.ops()[i];
    Call call{};
    call.op = op.name;
    call.attributes = instructions[i].attributes.data();
    call.attribute_count = static_cast<int32_t>(instructions[i].attributes.size());
    call.scratch = &scratch_;
    call.inputs = slot;
    for (const SlotType* type = op.inputs; type->name != nullptr; ++type) ++slot;
    call.outputs = slot;
    for (const SlotType* type = op.outputs; type->name != nullptr; ++type) ++slot;
    calls_.push_back(call);
    for (const Operand& output : instructions[i].outputs) {
      for (const int tensor : output.tensors) {
        if (!stored(plan_.program().tensors[tensor].role)) values_[tensor].maker = &calls_[i];
      }
    }
  }
}

void RunState::start(const RunInputs& inputs) {
  bound_constants();
  place_buffers(inputs.extents);
  set_addresses(inputs);
  if (kPoison && !kExact) std::memset(arena_.data(), 0xff, arena_.bytes());
  scratch_.reset();
  check();
}

// Computes the bounds of int32 constants, again after each write to the store.
void RunState::bound_constants() {
  if (bounded_writes_ == store_.writes()) return;
  bounded_writes_ = store_.writes();
  for (size_t i = 0; i < values_.size(); ++i) {
    const TensorSpec& spec = plan_.program().tensors[i];
    if (spec.role != Role::constant || spec.dtype != Dtype::int32) continue;
    bounds_[i] = bounds_of(values_[i].i32(), store_.at(spec.name).elements);
  }
}

// Computes the size of each buffer. All buffers keep their offsets until one of them needs more memory than it has.
void RunState::place_buffers(const std::vector<Extent>& extents) {
  bool outgrown = !kExact && arena_.data() == nullptr;
  for (size_t i = 0; i < places_.size(); ++i) {
    const Plan::Buffer& buffer = plan_.buffers()[i];
    const Extent& extent = extents[buffer.tensors[0]];
    if (kExact) {
      places_[i].exact = Memory();
      places_[i].exact = device_.allocate(static_cast<size_t>(extent.elements()) * kBytesPerElement);
      continue;
    }
    const int64_t stride = buffer.stride > 0 ? buffer.stride : extent.columns;
    const size_t bytes = aligned_size(static_cast<size_t>(extent.rows * stride) * kBytesPerElement);
    if (bytes <= places_[i].bytes) continue;
    places_[i].bytes = bytes;
    outgrown = true;
  }
  if (outgrown) grow_arena();
}

// First fit: each buffer gets the lowest offset at which it overlaps no buffer that is alive at the same time.
void RunState::grow_arena() {
  size_t arena_bytes = 0;
  std::vector<std::pair<size_t, size_t>> occupied;
  for (size_t i = 0; i < places_.size(); ++i) {
    Place& place = places_[i];
    occupied.clear();
    for (const int neighbour : plan_.buffers()[i].neighbours)
      occupied.emplace_back(places_[neighbour].offset, places_[neighbour].bytes);
    std::sort(occupied.begin(), occupied.end());
    place.offset = 0;
    for (const auto& [offset, bytes] : occupied) {
      if (place.offset + place.bytes <= offset) break;
      place.offset = std::max(place.offset, offset + bytes);
    }
    arena_bytes = std::max(arena_bytes, place.offset + place.bytes);
  }
  if (arena_bytes <= arena_.bytes() && arena_.data() != nullptr) return;
  arena_ = Memory();
  arena_ = device_.allocate(arena_bytes);
}

void RunState::set_addresses(const RunInputs& inputs) {
  for (size_t i = 0; i < values_.size(); ++i) {
    values_[i].rows = inputs.extents[i].rows;
    values_[i].columns = values_[i].stride = inputs.extents[i].columns;
    if (values_[i].maker != nullptr) bounds_[i] = {};
  }
  for (size_t i = 0; i < plan_.inputs().size(); ++i) {
    values_[plan_.inputs()[i]].data = inputs.arrays[i].data();
    bounds_[plan_.inputs()[i]] = inputs.bounds[i];
  }
  for (size_t i = 0; i < places_.size(); ++i) {
    const Plan::Buffer& buffer = plan_.buffers()[i];
    char* data =
        kExact ? static_cast<char*>(places_[i].exact.data()) : static_cast<char*>(arena_.data()) + places_[i].offset;
    for (const int tensor : buffer.tensors) {
      values_[tensor].data = data;
      if (buffer.stride > 0) values_[tensor].stride = buffer.stride;
      data += values_[tensor].columns * kBytesPerElement;
    }
  }
  for (size_t i = 0; i < operands_.size(); ++i) operands_[i] = values_[plan_.operands()[i]];
}

// In order, because the check of an instruction promises the bounds of its outputs to the checks after it.
void RunState::check() const {
  for (size_t i = 0; i < calls_.size(); ++i) {
    try {
      plan_.ops()[i]->check(calls_[i]);
    } catch (const Error& error) {
      throw Error(error.status(), std::string(error.what()) + " (instruction " +
                                      std::to_string(plan_.program().instructions[i].number) + ")");
    }
  }
}

void RunState::execute(size_t instruction) {
  device_.execute(*plan_.ops()[instruction], &calls_[instruction]);
  scratch_.reset();
}

std::unique_ptr<RunState> RunStates::take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (idle_.empty()) return nullptr;
  std::unique_ptr<RunState> state = std::move(idle_.back());
  idle_.pop_back();
  return state;
}

void RunStates::give_back(std::unique_ptr<RunState> state) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (idle_.size() < static_cast<size_t>(processor_count())) idle_.push_back(std::move(state));
}

}  // namespace shortlist
