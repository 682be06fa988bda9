#include "native/core/plan.h"

#include <algorithm>
#include <string>
#include <utility>

#include "native/core/error.h"
#include "native/core/memory.h"

namespace shortlist {
namespace {

const int64_t kMaxElements = int64_t{1} << 44;  // of a tensor: more than any memory holds
const int64_t kMaxSize = int64_t{1} << 30;      // of an axis: kernels count rows and columns in 32 bits

Extent extent_of(const TensorSpec& spec, const std::vector<int64_t>& sizes) {
  const Extent extent = {spec.shape.size() > 0 ? evaluate(spec.shape[0], sizes) : 1,
                         spec.shape.size() > 1 ? evaluate(spec.shape[1], sizes) : 1};
  if (extent.rows > kMaxSize || extent.columns > kMaxSize || extent.elements() > kMaxElements) {
    throw Error(Status::input, "Expected smaller dims: \"" + spec.name + "\" would be larger than any memory");
  }
  return extent;
}

// The row stride, in elements, of a matrix with `width` columns: whole cache lines, but not a multiple of 4 KiB,
// because consecutive rows would then compete for the same sets of the L1 cache.
int64_t padded_stride(int64_t width) {
  const int64_t stride = (width + kElementsPerLine - 1) / kElementsPerLine * kElementsPerLine;
  return stride % 1024 == 0 ? stride + kElementsPerLine : stride;
}

[[noreturn]] void fail_instruction(const Instruction& instruction, const std::string& message) {
  throw Error(Status::program,
              "[" + instruction.op + "] " + message + " (instruction " + std::to_string(instruction.number) + ")");
}

// The operand that fills a slot, or nullptr.
const Operand* find_operand(const std::vector<Operand>& operands, const char* slot) {
  const auto found =
      std::find_if(operands.begin(), operands.end(), [&](const Operand& operand) { return operand.slot == slot; });
  return found == operands.end() ? nullptr : &*found;
}

// Appends the tensors and the number of tensors of each of the op's slots, in the op's order. Throws if an operand is
// missing, unknown or given twice.
void resolve_slots(const Instruction& instruction, const char* side, const SlotType* slots,
                   const std::vector<Operand>& given, std::vector<int>* tensors, std::vector<int32_t>* counts) {
  size_t used = 0;
  for (const SlotType* slot = slots; slot->name != nullptr; ++slot) {
    const Operand* operand = find_operand(given, slot->name);
    const size_t count = operand == nullptr ? 0 : operand->tensors.size();
    if (count == 0 && !slot->optional)
      fail_instruction(instruction, "Missing operand \"" + std::string(slot->name) + "\"");
    if (operand != nullptr) {
      ++used;
      tensors->insert(tensors->end(), operand->tensors.begin(), operand->tensors.end());
    }
    counts->push_back(static_cast<int32_t>(count));
  }
  if (used == given.size()) return;
  // There is an operand too many: one of a slot that the op does not have, or the second one of a slot.
  for (size_t i = 0; i < given.size(); ++i) {
    const SlotType* slot = slots;
    while (slot->name != nullptr && given[i].slot != slot->name) ++slot;
    const bool known = slot->name != nullptr;
    if (known && find_operand(given, slot->name) == &given[i]) continue;
    fail_instruction(instruction, (known ? "Twice " : "Unknown ") + std::string(side) + " \"" + given[i].slot + "\"");
  }
}

// Throws if an operand does not have the slot's dtype and rank.
void check_slot_type(const Program& program, const Instruction& instruction, const SlotType& slot,
                     const Operand& operand) {
  const std::string name = slot.name;
  if (operand.list != slot.list)
    fail_instruction(instruction,
                     "Expected " + std::string(slot.list ? "a list" : "one tensor") + " for \"" + name + "\"");
  for (const int tensor : operand.tensors) {
    const TensorSpec& spec = program.tensors[tensor];
    if (spec.dtype != slot.dtype) {
      fail_instruction(instruction, "Expected " + name + " of " + name_of(slot.dtype) + " but received " + spec.name +
                                        " of " + name_of(spec.dtype));
    }
    if (slot.rank != kAnyRank && static_cast<size_t>(slot.rank) != spec.shape.size()) {
      fail_instruction(instruction, "Expected " + name + " with " + std::to_string(slot.rank) + " axes but received " +
                                        spec.name + " " + format_shape(program, spec.shape));
    }
  }
}

// Whether these tensors can be columns of one matrix: distinct temporaries of rank 2 with the same number of rows and
// fixed widths, none of which is a column of another matrix already.
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

}  // namespace

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

// ---- construction ---------------------------------------------------------------------------------------------------

Plan::Plan(Program program, const Op* const* ops) : program_(std::move(program)), dim_used_(program_.dims.size()) {
  for (size_t i = 0; i < program_.tensors.size(); ++i) {
    const TensorSpec& spec = program_.tensors[i];
    for (const Dim& dim : spec.shape) {
      for (const auto& term : dim.terms) dim_used_[term.first] = true;
    }
    if (spec.role == Role::input) inputs_.push_back(static_cast<int>(i));
    if (spec.role == Role::output) outputs_.push_back(static_cast<int>(i));
  }
  resolve_operands(ops);
  make_buffers();
  find_lifetimes();
}

std::vector<Extent> Plan::extents(const std::vector<int64_t>& sizes) const {
  for (size_t i = 0; i < program_.dims.size(); ++i) {
    if (dim_used_[i] && sizes[i] < 0) {
      throw Error(Status::input, "Expected a whole number for dim \"" + program_.dims[i] + "\" but received " +
                                     std::to_string(sizes[i]));
    }
  }
  std::vector<Extent> extents;
  extents.reserve(program_.tensors.size());
  for (const TensorSpec& spec : program_.tensors) extents.push_back(extent_of(spec, sizes));
  return extents;
}

// A Program may come from an untrusted source. Kernels rely on these properties of its operands:
// - Each has its slot's dtype and rank.
// - int32 inputs, which kernels use as indices, are not stored tensors that another run could change.
// - A tensor that is updated in place is no other operand of the same instruction.
// - All other outputs are tensors of the run, so no output overlaps an input.
void Plan::check_operands(const Instruction& instruction, const Op& op) const {
  const auto fail = [&](const std::string& message) { fail_instruction(instruction, message); };
  for (const SlotType* slot = op.inputs; slot->name != nullptr; ++slot) {
    const Operand* operand = find_operand(instruction.inputs, slot->name);
    if (operand == nullptr) continue;
    check_slot_type(program_, instruction, *slot, *operand);
    for (const int tensor : operand->tensors) {
      const TensorSpec& spec = program_.tensors[tensor];
      if (spec.dtype == Dtype::int32 && stored(spec.role) && spec.role != Role::constant) {
        fail("Expected " + std::string(slot->name) + " to be an input, a constant or computed but received " +
             name_of(spec.role) + " " + spec.name);
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
      for (const Operand& other : instruction.inputs)
        reads += std::count(other.tensors.begin(), other.tensors.end(), tensor);
      if (input == nullptr && stored(spec.role)) {
        fail("Expected " + std::string(slot->name) + " to be a temporary or an output but received " +
             name_of(spec.role) + " " + spec.name);
      }
      if (input != nullptr && (input->tensors != operand->tensors || !stored(spec.role) || reads != 1)) {
        fail("Expected " + std::string(slot->name) +
             " to be the stored tensor that is updated in place, and no other operand, but received " + spec.name);
      }
    }
  }
}

void Plan::resolve_operands(const Op* const* ops) {
  for (const Instruction& instruction : program_.instructions) {
    const Op* const* op = ops;
    while (*op != nullptr && instruction.op != (*op)->name) ++op;
    if (*op == nullptr) throw Error(Status::program, "Program uses unknown op \"" + instruction.op + "\"");
    ops_.push_back(*op);
    check_operands(instruction, **op);
    resolve_slots(instruction, "input", (*op)->inputs, instruction.inputs, &operands_, &slot_counts_);
    resolve_slots(instruction, "output", (*op)->outputs, instruction.outputs, &operands_, &slot_counts_);
    for (const Operand& operand : instruction.outputs) {
      for (const int tensor : operand.tensors) writes_store_ = writes_store_ || stored(program_.tensors[tensor].role);
    }
  }
}

void Plan::make_buffers() {
  std::vector<bool> has_place(program_.tensors.size());
  for (SideBySide& group : find_side_by_side(program_)) {
    if (kExact) break;
    for (const int tensor : group.tensors) has_place[tensor] = true;
    Buffer buffer;
    buffer.stride = padded_stride(group.width);
    buffer.tensors = std::move(group.tensors);
    buffers_.push_back(std::move(buffer));
  }
  for (size_t i = 0; i < program_.tensors.size(); ++i) {
    const Role role = program_.tensors[i].role;
    if ((role != Role::temporary && role != Role::output) || has_place[i]) continue;
    buffers_.emplace_back();
    buffers_.back().tensors.push_back(static_cast<int>(i));
    const std::vector<Dim>& shape = program_.tensors[i].shape;
    if (kPoison && !kExact && shape.size() == 2 && shape[1].fixed())
      buffers_.back().stride = padded_stride(shape[1].constant + 1);
  }
}

void Plan::find_lifetimes() {
  std::vector<Buffer*> buffer_of(program_.tensors.size());
  const int end = static_cast<int>(program_.instructions.size());
  for (Buffer& buffer : buffers_) {
    buffer.first = end;
    buffer.last = -1;
    for (const int tensor : buffer.tensors) buffer_of[tensor] = &buffer;
  }
  const auto touch = [&](int tensor, int at) {
    if (buffer_of[tensor] == nullptr) return;
    buffer_of[tensor]->first = std::min(buffer_of[tensor]->first, at);
    buffer_of[tensor]->last = std::max(buffer_of[tensor]->last, at);
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
      if (buffers_[j].last >= buffers_[i].first && buffers_[i].last >= buffers_[j].first)
        buffers_[i].neighbours.push_back(static_cast<int>(j));
    }
  }
}

}  // namespace shortlist
