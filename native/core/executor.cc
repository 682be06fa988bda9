#include "native/core/executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "native/core/error.h"

namespace shortlist {
namespace {

const int64_t kBytesPerElement = 4;
const int64_t kElementsPerLine = 16;
const int64_t kMaxElements = int64_t{1} << 44;
const int64_t kMaxScratch = int64_t{1} << 56;
const int64_t kMaxSize = int64_t{1} << 30;  // of an axis: kernels count rows and columns in 32 bits

// Builds for tests: memory holds NaN before a run and every matrix has gaps between its rows, so that a kernel that reads
// what it should write, or takes a matrix to be dense, gives wrong results.
#ifdef SHORTLIST_POISON
const bool kPoison = true;
#else
const bool kPoison = false;
#endif

Extent extent_of(const TensorSpec& spec, const std::vector<int64_t>& sizes) {
  const Extent extent = {spec.shape.size() > 0 ? evaluate(spec.shape[0], sizes) : 1,
                         spec.shape.size() > 1 ? evaluate(spec.shape[1], sizes) : 1};
  if (extent.rows > kMaxSize || extent.columns > kMaxSize || extent.elements() > kMaxElements) {
    throw Error(Status::input, "Expected smaller dims: \"" + spec.name + "\" would be larger than any memory");
  }
  return extent;
}

std::string format_sizes(const TensorSpec& spec, const std::vector<int64_t>& sizes) {
  std::string text;
  for (const Dim& dim : spec.shape) text += (text.empty() ? "" : ", ") + std::to_string(evaluate(dim, sizes));
  return "[" + text + "]";
}

// Columns of a matrix of `width` columns, from row to row: whole cache lines, but no multiple of 4 KiB, which would lay
// the rows of a block over each other in the cache.
int64_t padded_stride(int64_t width) {
  const int64_t stride = (width + kElementsPerLine - 1) / kElementsPerLine * kElementsPerLine;
  return stride % 1024 == 0 ? stride + kElementsPerLine : stride;
}

[[noreturn]] void fail_instruction(const Instruction& instruction, const std::string& message) {
  throw Error(Status::program, "[" + instruction.op + "] " + message + " (instruction " + std::to_string(instruction.number) + ")");
}

// The operand that fills a slot, or nullptr.
const Operand* find_operand(const std::vector<Operand>& operands, const char* slot) {
  const auto found = std::find_if(operands.begin(), operands.end(), [&](const Operand& operand) { return operand.slot == slot; });
  return found == operands.end() ? nullptr : &*found;
}

// Fills the op's slots, in its order, with the operands that an instruction names: appends each slot's tensors and count.
void resolve_slots(const Instruction& instruction, const char* side, const SlotType* slots,
                   const std::vector<Operand>& given, std::vector<int>* tensors, std::vector<int32_t>* counts) {
  size_t used = 0;
  for (const SlotType* slot = slots; slot->name != nullptr; ++slot) {
    const Operand* operand = find_operand(given, slot->name);
    const size_t count = operand == nullptr ? 0 : operand->tensors.size();
    if (count == 0 && !slot->optional) fail_instruction(instruction, "Missing operand \"" + std::string(slot->name) + "\"");
    if (operand != nullptr) {
      ++used;
      tensors->insert(tensors->end(), operand->tensors.begin(), operand->tensors.end());
    }
    counts->push_back(static_cast<int32_t>(count));
  }
  if (used == given.size()) return;
  for (size_t i = 0; i < given.size(); ++i) {  // an operand too many: of a slot that is not the op's, or one that is filled already
    const SlotType* slot = slots;
    while (slot->name != nullptr && given[i].slot != slot->name) ++slot;
    const bool known = slot->name != nullptr;
    if (known && find_operand(given, slot->name) == &given[i]) continue;
    fail_instruction(instruction, (known ? "Twice " : "Unknown ") + std::string(side) + " \"" + given[i].slot + "\"");
  }
}

// Throws where a tensor is not what a slot takes.
void check_slot_type(const Program& program, const Instruction& instruction, const SlotType& slot, const Operand& operand) {
  const std::string name = slot.name;
  if (operand.list != slot.list) fail_instruction(instruction, "Expected " + std::string(slot.list ? "a list" : "one tensor") + " for \"" + name + "\"");
  for (const int tensor : operand.tensors) {
    const TensorSpec& spec = program.tensors[tensor];
    if (spec.dtype != slot.dtype) {
      fail_instruction(instruction, "Expected " + name + " of " + name_of(slot.dtype) + " but received " + spec.name + " of " + name_of(spec.dtype));
    }
    if (slot.rank != kAnyRank && static_cast<size_t>(slot.rank) != spec.shape.size()) {
      fail_instruction(instruction, "Expected " + name + " with " + std::to_string(slot.rank) + " axes but received " + spec.name + " " +
                                               format_shape(program, spec.shape));
    }
  }
}

// Whether these tensors can be columns of one matrix: distinct temporaries of rank 2 with the same rows and fixed widths,
// none of which has a place in another one.
bool can_stand_side_by_side(const Program& program, const std::vector<int>& tensors, const std::vector<bool>& taken) {
  if (tensors.size() < 2) return false;
  const TensorSpec& first = program.tensors[tensors[0]];
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorSpec& spec = program.tensors[tensors[i]];
    if (spec.role != Role::temporary || spec.shape.size() != 2 || taken[tensors[i]]) return false;
    if (!spec.shape[1].fixed() || spec.shape[1].constant > kMaxSize || !(spec.shape[0] == first.shape[0])) return false;
    if (std::find(tensors.begin(), tensors.begin() + i, tensors[i]) != tensors.begin() + i) return false;
  }
  return true;
}

const Attribute* find_attribute(const Call& call, const char* name) {
  for (int32_t i = 0; i < call.attribute_count; ++i) {
    if (call.attributes[i].name == name) return &call.attributes[i];
  }
  return nullptr;
}

const Attribute& attribute_of(const Call& call, const char* name, Attribute::Kind kind, const char* kind_name) {
  const Attribute* attribute = find_attribute(call, name);
  if (attribute != nullptr && attribute->kind == kind) return *attribute;
  const std::string op = "[" + std::string(call.op) + "] ", quoted = "\"" + std::string(name) + "\"";
  if (attribute == nullptr) throw Error(Status::program, op + "Missing attribute " + quoted);
  throw Error(Status::program, op + "Expected attribute " + quoted + " to be a " + kind_name);
}

Bounds bounds_of(const int32_t* numbers, int64_t count) {
  if (count == 0) return {};
  int32_t lowest = numbers[0], highest = numbers[0];
  for (int64_t i = 1; i < count; ++i) {
    lowest = std::min(lowest, numbers[i]);
    highest = std::max(highest, numbers[i]);
  }
  return {true, lowest, highest, false};
}

}  // namespace

// ---- what native/ops/op.h declares --------------------------------------------------------------------------------

double number_attribute(const Call& call, const char* name) {
  return attribute_of(call, name, Attribute::Kind::number, "number").number;
}

bool flag_attribute(const Call& call, const char* name) { return attribute_of(call, name, Attribute::Kind::flag, "flag").flag; }

const char* text_attribute(const Call& call, const char* name) {
  return attribute_of(call, name, Attribute::Kind::text, "text").text.c_str();
}

bool text_attribute_is(const Call& call, const char* name, const char* text) {
  return attribute_of(call, name, Attribute::Kind::text, "text").text == text;
}

void* scratch(const Call& call, int64_t elements) {
  if (elements < 0 || elements > kMaxScratch) throw Error(Status::executor, "Expected smaller operands: " + std::string(call.op) + " would need more than any memory");
  return call.scratch->allocate(static_cast<size_t>(elements) * kBytesPerElement);
}

void run_chunks(const Call& call, int64_t chunks, bool in_order, void (*task)(void* context, int64_t chunk), void* context) {
  call.threads->run(chunks, in_order, task, context);
}

int64_t worker_count(const Call& call) { return call.threads->count(); }

int64_t this_worker() { return Threads::worker(); }

// ---- engine ---------------------------------------------------------------------------------------------------------

Engine::Engine(int thread_count, const std::string& isa) : isa_(select_isa(isa)), threads_(thread_count) {}

const Op* Engine::find(const std::string& name) const {
  for (const Op* const* op = isa_.ops; *op != nullptr; ++op) {
    if (name == (*op)->name) return *op;
  }
  return nullptr;
}

// ---- memory plan ----------------------------------------------------------------------------------------------------

std::vector<SideBySide> find_side_by_side(const Program& program) {
  std::vector<SideBySide> found;
  std::vector<bool> taken(program.tensors.size());
  for (const Instruction& instruction : program.instructions) {
    for (const std::vector<Operand>* operands : {&instruction.inputs, &instruction.outputs}) {
      for (const Operand& operand : *operands) {
        if (!operand.list || !can_stand_side_by_side(program, operand.tensors, taken)) continue;
        SideBySide group{operand.tensors, 0};
        for (const int tensor : operand.tensors) {
          taken[tensor] = true;
          group.width += program.tensors[tensor].shape[1].constant;
        }
        found.push_back(std::move(group));
      }
    }
  }
  return found;
}

// Lifetimes do not depend on the sizes of a run, so which buffers must keep clear of each other is settled here.
void Executor::place_buffers() {
  const size_t count = program_.tensors.size();
  std::vector<int> buffer_of(count, -1);
  for (SideBySide& group : find_side_by_side(program_)) {
    if (kExact) break;
    Buffer buffer;
    buffer.stride = padded_stride(group.width);
    buffer.tensors = std::move(group.tensors);
    for (const int tensor : buffer.tensors) buffer_of[tensor] = static_cast<int>(buffers_.size());
    buffers_.push_back(std::move(buffer));
  }
  for (size_t i = 0; i < count; ++i) {
    const Role role = program_.tensors[i].role;
    if ((role != Role::temporary && role != Role::output) || buffer_of[i] >= 0) continue;
    buffer_of[i] = static_cast<int>(buffers_.size());
    buffers_.emplace_back();
    buffers_.back().tensors.push_back(static_cast<int>(i));
    const std::vector<Dim>& shape = program_.tensors[i].shape;
    if (kPoison && !kExact && shape.size() == 2 && shape[1].fixed()) buffers_.back().stride = padded_stride(shape[1].constant + 1);
  }

  const int end = static_cast<int>(program_.instructions.size());
  for (Buffer& buffer : buffers_) {
    buffer.first = end;
    buffer.last = -1;
  }
  const auto touch = [&](int tensor, int at) {
    if (buffer_of[tensor] < 0) return;
    Buffer& buffer = buffers_[buffer_of[tensor]];
    buffer.first = std::min(buffer.first, at);
    buffer.last = std::max(buffer.last, at);
  };
  for (int i = 0; i < end; ++i) {
    for (const std::vector<Operand>* operands : {&program_.instructions[i].inputs, &program_.instructions[i].outputs}) {
      for (const Operand& operand : *operands) {
        for (const int tensor : operand.tensors) touch(tensor, i);
      }
    }
  }
  for (const int tensor : outputs_) touch(tensor, end);  // until they are copied out

  std::sort(buffers_.begin(), buffers_.end(), [](const Buffer& a, const Buffer& b) {
    return std::make_pair(a.first, a.tensors[0]) < std::make_pair(b.first, b.tensors[0]);
  });
  for (size_t i = 0; i < buffers_.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (buffers_[j].last >= buffers_[i].first && buffers_[i].last >= buffers_[j].first) buffers_[i].neighbours.push_back(static_cast<int>(j));
    }
  }
}

// ---- construction ---------------------------------------------------------------------------------------------------

Executor::Executor(Program program, std::shared_ptr<Store> store, std::shared_ptr<Engine> engine, bool profile)
    : program_(std::move(program)), store_(std::move(store)), engine_(std::move(engine)), dim_used_(program_.dims.size()),
      bounds_(program_.tensors.size()) {
  for (size_t i = 0; i < program_.tensors.size(); ++i) {
    const TensorSpec& spec = program_.tensors[i];
    for (const Dim& dim : spec.shape) {
      for (const auto& term : dim.terms) dim_used_[term.first] = true;
    }
    Tensor value{};
    value.name = spec.name.c_str();
    value.dtype = spec.dtype;
    value.given = spec.role == Role::input || spec.role == Role::constant;
    value.index = static_cast<int32_t>(i);
    value.bounds = &bounds_[i];
    if (spec.role == Role::input) inputs_.push_back(static_cast<int>(i));
    if (spec.role == Role::output) outputs_.push_back(static_cast<int>(i));
    if (stored(spec.role)) {
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
        throw Error(Status::program, "Expected \"" + spec.name + "\" " + format_shape(program_, spec.shape) + " but the store has " +
                                         format_shape(program_, shape));
      }
      if (found->dtype != spec.dtype) {
        throw Error(Status::program, "Expected \"" + spec.name + "\" of " + name_of(spec.dtype) + " but the store has " + name_of(found->dtype));
      }
      value.data = found->memory.data();
    }
    values_.push_back(value);
  }
  resolve_operands();
  place_buffers();
  if (profile) seconds_.resize(program_.instructions.size());
}

// What a Program from anywhere must be for kernels to trust its operands: each of its slot's dtype and rank; integers, which
// kernels follow as indices, neither stored nor changed by other runs; a tensor that is updated in place read as no other
// operand of the same instruction; and all other results tensors of the run, so that no output overlaps an input.
void Executor::check_operands(const Instruction& instruction, const Op& op) const {
  const auto fail = [&](const std::string& message) { fail_instruction(instruction, message); };
  for (const SlotType* slot = op.inputs; slot->name != nullptr; ++slot) {
    const Operand* operand = find_operand(instruction.inputs, slot->name);
    if (operand == nullptr) continue;
    check_slot_type(program_, instruction, *slot, *operand);
    for (const int tensor : operand->tensors) {
      const TensorSpec& spec = program_.tensors[tensor];
      if (spec.dtype == Dtype::int32 && stored(spec.role) && spec.role != Role::constant) {
        fail("Expected " + std::string(slot->name) + " to be an input, a constant or computed but received " + name_of(spec.role) + " " + spec.name);
      }
    }
  }
  for (const SlotType* slot = op.outputs; slot->name != nullptr; ++slot) {
    const Operand* operand = find_operand(instruction.outputs, slot->name);
    if (operand == nullptr) continue;
    check_slot_type(program_, instruction, *slot, *operand);
    const Operand* input = find_operand(instruction.inputs, slot->name);
    for (const int tensor : operand->tensors) {
      const TensorSpec& spec = program_.tensors[tensor];
      int64_t reads = 0;
      for (const Operand& other : instruction.inputs) reads += std::count(other.tensors.begin(), other.tensors.end(), tensor);
      if (input == nullptr && stored(spec.role)) {
        fail("Expected " + std::string(slot->name) + " to be a temporary or an output but received " + name_of(spec.role) + " " + spec.name);
      }
      if (input != nullptr && (input->tensors != operand->tensors || !stored(spec.role) || reads != 1)) {
        fail("Expected " + std::string(slot->name) + " to be the stored tensor that is updated in place, and no other operand, but received " + spec.name);
      }
    }
  }
}

void Executor::resolve_operands() {
  std::vector<int32_t> counts;
  for (size_t i = 0; i < program_.instructions.size(); ++i) {
    const Instruction& instruction = program_.instructions[i];
    const Op* op = engine_->find(instruction.op);
    if (op == nullptr) throw Error(Status::program, "Program uses unknown op \"" + instruction.op + "\"");
    ops_.push_back(op);
    check_operands(instruction, *op);
    resolve_slots(instruction, "input", op->inputs, instruction.inputs, &operand_tensors_, &counts);
    resolve_slots(instruction, "output", op->outputs, instruction.outputs, &operand_tensors_, &counts);
  }
  operands_.resize(operand_tensors_.size());
  const Tensor* operand = operands_.data();
  for (const int32_t count : counts) {
    slots_.push_back({operand, count});
    operand += count;
  }
  const Slot* slot = slots_.data();
  for (size_t i = 0; i < ops_.size(); ++i) {
    const std::vector<Attribute>& attributes = program_.instructions[i].attributes;
    Call call{};
    call.op = ops_[i]->name;
    call.attributes = attributes.data();
    call.attribute_count = static_cast<int32_t>(attributes.size());
    call.threads = &engine_->threads_;
    call.scratch = &engine_->scratch_;
    call.inputs = slot;
    for (const SlotType* type = ops_[i]->inputs; type->name != nullptr; ++type) ++slot;
    call.outputs = slot;
    for (const SlotType* type = ops_[i]->outputs; type->name != nullptr; ++type) ++slot;
    calls_.push_back(call);
  }
  for (size_t i = 0; i < calls_.size(); ++i) {
    for (const Operand& operand : program_.instructions[i].outputs) {
      for (const int tensor : operand.tensors) {
        if (!stored(program_.tensors[tensor].role)) values_[tensor].maker = &calls_[i];
      }
    }
  }
}

// ---- a run ----------------------------------------------------------------------------------------------------------

std::unique_ptr<Executor::Run> Executor::prepare(const std::vector<int64_t>& sizes, const std::vector<InputArray>& inputs,
                                                 std::unique_ptr<Run> over) const {
  for (size_t i = 0; i < program_.dims.size(); ++i) {
    if (dim_used_[i] && sizes[i] < 0) {
      throw Error(Status::input, "Expected a whole number for dim \"" + program_.dims[i] + "\" but received " + std::to_string(sizes[i]));
    }
  }
  std::unique_ptr<Run> run = over ? std::move(over) : std::make_unique<Run>();
  run->extents.clear();
  run->inputs.resize(inputs_.size());
  run->bounds.assign(inputs_.size(), Bounds{});
  for (const TensorSpec& spec : program_.tensors) run->extents.push_back(extent_of(spec, sizes));
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const TensorSpec& spec = program_.tensors[inputs_[i]];
    const int64_t expected = run->extents[inputs_[i]].elements();
    if (!inputs[i].present) throw Error(Status::input, "Missing input \"" + spec.name + "\"");
    if (inputs[i].dtype != spec.dtype) {
      throw Error(Status::input, "Expected values of " + std::string(name_of(spec.dtype)) + " for input \"" + spec.name + "\" but received " +
                                     name_of(inputs[i].dtype));
    }
    if (inputs[i].elements != expected) {
      throw Error(Status::input, "Expected " + std::to_string(expected) + " values for input \"" + spec.name + "\" " + format_sizes(spec, sizes) +
                                     " but received " + std::to_string(inputs[i].elements));
    }
  }
  for (size_t i = 0; i < inputs_.size(); ++i) {
    Memory& memory = run->inputs[i];
    const size_t bytes = static_cast<size_t>(inputs[i].elements) * kBytesPerElement;
    if (kExact || memory.bytes() < bytes || memory.data() == nullptr) memory = Memory(bytes);
    if (bytes > 0) std::memcpy(memory.data(), inputs[i].data, bytes);
    if (inputs[i].dtype == Dtype::int32) run->bounds[i] = bounds_of(static_cast<const int32_t*>(memory.data()), inputs[i].elements);
  }
  return run;
}

void Executor::set_scalar(Run* run, size_t input, uint32_t bits) const {
  std::memcpy(run->inputs[input].data(), &bits, sizeof bits);
  if (program_.tensors[inputs_[input]].dtype == Dtype::int32) {
    run->bounds[input] = bounds_of(static_cast<const int32_t*>(run->inputs[input].data()), 1);
  }
}

// The bounds of int32 constants, again after each write to the store.
void Executor::bound_constants() {
  if (bounded_writes_ == store_->writes()) return;
  bounded_writes_ = store_->writes();
  for (size_t i = 0; i < values_.size(); ++i) {
    const TensorSpec& spec = program_.tensors[i];
    if (spec.role != Role::constant || spec.dtype != Dtype::int32) continue;
    bounds_[i] = bounds_of(values_[i].i32(), store_->at(spec.name).elements);
  }
}

// Gives every tensor its size and address. Buffers keep their places from run to run until one has outgrown its own.
void Executor::plan(const Run& run) {
  bool outgrown = !kExact && arena_.data() == nullptr;
  for (Buffer& buffer : buffers_) {
    if (kExact) {
      buffer.exact = Memory();
      buffer.exact = Memory(static_cast<size_t>(run.extents[buffer.tensors[0]].elements()) * kBytesPerElement);
      continue;
    }
    const Extent& extent = run.extents[buffer.tensors[0]];
    const int64_t stride = buffer.stride > 0 ? buffer.stride : extent.columns;
    const size_t bytes = aligned_size(static_cast<size_t>(extent.rows * stride) * kBytesPerElement);
    if (bytes <= buffer.bytes) continue;
    buffer.bytes = bytes;
    outgrown = true;
  }
  if (outgrown) {
    size_t arena_bytes = 0;
    std::vector<std::pair<size_t, size_t>> occupied;
    for (Buffer& buffer : buffers_) {
      occupied.clear();
      for (const int neighbour : buffer.neighbours) occupied.emplace_back(buffers_[neighbour].offset, buffers_[neighbour].bytes);
      std::sort(occupied.begin(), occupied.end());
      buffer.offset = 0;
      for (const auto& [offset, bytes] : occupied) {
        if (buffer.offset + buffer.bytes <= offset) break;
        buffer.offset = std::max(buffer.offset, offset + bytes);
      }
      arena_bytes = std::max(arena_bytes, buffer.offset + buffer.bytes);
    }
    if (arena_bytes > arena_.bytes() || arena_.data() == nullptr) {
      arena_ = Memory();
      arena_ = Memory(arena_bytes);
    }
  }

  for (size_t i = 0; i < values_.size(); ++i) {
    values_[i].rows = run.extents[i].rows;
    values_[i].columns = values_[i].stride = run.extents[i].columns;
    if (values_[i].maker != nullptr) bounds_[i] = {};
  }
  for (size_t i = 0; i < inputs_.size(); ++i) {
    values_[inputs_[i]].data = run.inputs[i].data();
    bounds_[inputs_[i]] = run.bounds[i];
  }
  for (const Buffer& buffer : buffers_) {
    char* data = kExact ? static_cast<char*>(buffer.exact.data()) : static_cast<char*>(arena_.data()) + buffer.offset;
    for (const int tensor : buffer.tensors) {
      values_[tensor].data = data;
      if (buffer.stride > 0) values_[tensor].stride = buffer.stride;
      data += values_[tensor].columns * kBytesPerElement;
    }
  }
  for (size_t i = 0; i < operands_.size(); ++i) operands_[i] = values_[operand_tensors_[i]];
}

// In order: an instruction promises what its integers will hold to those that read them.
void Executor::check() const {
  for (size_t i = 0; i < calls_.size(); ++i) {
    try {
      ops_[i]->check(calls_[i]);
    } catch (const Error& error) {
      throw Error(error.status(), std::string(error.what()) + " (instruction " + std::to_string(program_.instructions[i].number) + ")");
    }
  }
}

void Executor::execute(const Run& run) {
  using Clock = std::chrono::steady_clock;
  const std::lock_guard<std::mutex> engine_turn(engine_->turn_);
  const std::lock_guard<std::mutex> store_turn(store_->turn_);
  bound_constants();
  plan(run);
  if (kPoison && !kExact) std::memset(arena_.data(), 0xff, arena_.bytes());
  engine_->scratch_.reset();
  check();
  for (size_t i = 0; i < calls_.size(); ++i) {
    const Clock::time_point start = seconds_.empty() ? Clock::time_point() : Clock::now();
    ops_[i]->run(calls_[i]);
    engine_->scratch_.reset();
    if (!seconds_.empty()) seconds_[i] += std::chrono::duration<double>(Clock::now() - start).count();
  }
}

void Executor::copy_output(int tensor, void* to) const {
  const Tensor& value = values_[tensor];
  const size_t row_bytes = static_cast<size_t>(value.columns) * kBytesPerElement;
  if (value.rows == 0 || row_bytes == 0) return;
  if (value.stride == value.columns) {
    std::memcpy(to, value.data, row_bytes * static_cast<size_t>(value.rows));
    return;
  }
  for (int64_t r = 0; r < value.rows; ++r) std::memcpy(static_cast<char*>(to) + r * row_bytes, value.row(r), row_bytes);
}

}  // namespace shortlist
