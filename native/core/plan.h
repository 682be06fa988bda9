#pragma once

#include <cstdint>
#include <vector>

#include "native/core/kernel.h"
#include "native/core/program.h"

namespace shortlist {

// The size of a tensor in one run.
struct Extent {
  int64_t rows;
  int64_t columns;

  int64_t elements() const { return rows * columns; }
};

// Where a list of matrices stands side by side in one wider matrix.
struct SideBySide {
  std::vector<int> tensors;  // from left to right
  int64_t width;             // Σ widths
};

// Lists of temporaries, taken or made by one instruction as a list slot, that can be the columns of one matrix: all
// have the same rows and a fixed width. So a concatenation needs no copy: its producers write into their columns.
std::vector<SideBySide> find_side_by_side(const Program& program);

// What all runs of a Program have in common. It is made once and never changes, so any number of runs may read it at
// the same time. It knows tensors by their index in the Program: where their elements are is a matter of each run
// (RunState).
class Plan {
 public:
  // A tensor, or several side by side, that needs a place in a run's memory from the instruction that writes it first
  // to the one that reads it last. Lifetimes do not depend on the sizes of a run.
  struct Buffer {
    std::vector<int> tensors;
    int64_t stride = 0;           // elements from row to row; 0: rows lie without gaps
    int first = 0, last = 0;      // instructions
    std::vector<int> neighbours;  // earlier buffers that live at the same time
  };

  // `ops` are the ops that there are kernels for, ended by nullptr. Throws Error(Status::program) for instructions of
  // other ops and for operands of another dtype, rank or role than their op takes.
  Plan(Program program, const Op* const* ops);

  const Program& program() const { return program_; }
  // Indices into program().tensors, in its order.
  const std::vector<int>& inputs() const { return inputs_; }
  const std::vector<int>& outputs() const { return outputs_; }
  // Whether a tensor has a shape with program().dims[i].
  bool uses_dim(size_t i) const { return dim_used_[i]; }
  // Whether a run changes stored tensors.
  bool writes_store() const { return writes_store_; }
  // The size of each tensor; `sizes` are those of program().dims. Throws Error(Status::input).
  std::vector<Extent> extents(const std::vector<int64_t>& sizes) const;

  // The op of each instruction.
  const std::vector<const Op*>& ops() const { return ops_; }
  // The tensors that fill the slots of all instructions one after the other: each instruction's inputs, then its
  // outputs, in the order of its op's slots. `slot_counts` says how many of them each slot has.
  const std::vector<int>& operands() const { return operands_; }
  const std::vector<int32_t>& slot_counts() const { return slot_counts_; }
  // Of temporaries and outputs, by the instruction that writes them first.
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
