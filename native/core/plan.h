#pragma once

#include <cstdint>
#include <vector>

#include "native/core/kernel.h"
#include "native/core/program.h"

namespace shortlist {

// The size of a tensor in one run: a vector has 1 column, a scalar 1 row and 1 column.
struct Extent {
  int64_t rows;
  int64_t columns;

  int64_t elements() const { return rows * columns; }
};

// A list of matrices that are stored as adjacent columns of one wider matrix.
struct SideBySide {
  std::vector<int> tensors;  // from left to right
  int64_t width;             // sum of their widths
};

// The list operands of a Program that can be stored as columns of one matrix: temporaries with the same number of rows
// and fixed widths. A concatenation then needs no copy, because the instructions before it write into their columns.
std::vector<SideBySide> find_side_by_side(const Program& program);

// What all runs of a Program have in common. A plan never changes, so any number of runs may read it at the same time.
// It refers to tensors by their index in the Program and has no pointers to elements: these belong to a run (RunState).
class Plan {
 public:
  // Memory for one tensor, or for several in adjacent columns, from the instruction that first writes it to the one
  // that last reads it. These lifetimes do not depend on the sizes of a run.
  struct Buffer {
    std::vector<int> tensors;
    int64_t stride = 0;           // elements from one row to the next; 0 if rows are contiguous
    int first = 0, last = 0;      // the first and the last instruction that uses it
    std::vector<int> neighbours;  // earlier buffers whose lifetimes overlap this one's
  };

  // `ops` are the ops that the device has kernels for; the list ends with nullptr. Throws Error(Status::program) if an
  // instruction has another op, or an operand another dtype, rank or role than its slot requires.
  Plan(Program program, const Op* const* ops);

  const Program& program() const { return program_; }
  // The tensors of role input and output, as rising indices into program().tensors.
  const std::vector<int>& inputs() const { return inputs_; }
  const std::vector<int>& outputs() const { return outputs_; }
  // Whether the shape of some tensor contains program().dims[i].
  bool uses_dim(size_t i) const { return dim_used_[i]; }
  // Whether a run changes tensors of the store.
  bool writes_store() const { return writes_store_; }
  // The size of each tensor, where `sizes` has one size for each of program().dims. Throws Error(Status::input) if a
  // size is negative or a tensor too large.
  std::vector<Extent> extents(const std::vector<int64_t>& sizes) const;

  // The op of each instruction.
  const std::vector<const Op*>& ops() const { return ops_; }
  // The operands of all instructions in one list: for each instruction its inputs, then its outputs, in the order of
  // its op's slots. `slot_counts` has the number of tensors of each slot, in the same order.
  const std::vector<int>& operands() const { return operands_; }
  const std::vector<int32_t>& slot_counts() const { return slot_counts_; }
  // The buffers of all temporaries and outputs, ordered by the instruction that first writes them.
  const std::vector<Buffer>& buffers() const { return buffers_; }

 private:
  void resolve_operands(const Op* const* ops);
  void check_operands(const Instruction& instruction, const Op& op) const;
  void make_buffers();
  void find_lifetimes();

  Program program_;
  std::vector<int> inputs_, outputs_;
  std::vector<bool> dim_used_;
  bool writes_store_ = false;
  std::vector<const Op*> ops_;
  std::vector<int> operands_;
  std::vector<int32_t> slot_counts_;
  std::vector<Buffer> buffers_;
};

}  // namespace shortlist
