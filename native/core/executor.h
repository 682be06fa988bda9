#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "native/core/arena.h"
#include "native/core/cpu.h"
#include "native/core/memory.h"
#include "native/core/program.h"
#include "native/core/store.h"
#include "native/core/tensor.h"
#include "native/core/threads.h"
#include "native/ops/op.h"

namespace shortlist {

// What executors run on: the kernels of one instruction set, a pool of threads, scratch memory. Executors that share an
// engine take turns.
class Engine {
 public:
  // `isa` as select_isa takes it.
  Engine(int thread_count, const std::string& isa);

  const char* isa() const { return isa_.name; }
  int thread_count() const { return threads_.count(); }
  // The op of this name; nullptr where there is none.
  const Op* find(const std::string& name) const;

 private:
  friend class Executor;

  Isa isa_;
  Threads threads_;
  Arena scratch_;
  std::mutex turn_;
};

// What a run is given for one input.
struct InputArray {
  const void* data = nullptr;  // row-major, need not be aligned
  int64_t elements = 0;
  Dtype dtype = Dtype::float32;
  bool present = false;
};

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

// Lists of temporaries, taken or made by one instruction as a list slot, that can be the columns of one matrix: all have
// the same rows and a fixed width. So a concatenation needs no copy: its producers write into their columns.
std::vector<SideBySide> find_side_by_side(const Program& program);

// Runs one Program over a store.
class Executor {
 public:
  // Throws Error(Status::program) for ops that the engine does not know and operands of another dtype, rank or role than the
  // op takes, and Error(Status::executor) or (Status::program) for stored tensors that are missing or of another shape.
  Executor(Program program, std::shared_ptr<Store> store, std::shared_ptr<Engine> engine, bool profile);

  // A run that has been given its sizes and inputs, and has not started.
  struct Run {
    std::vector<Extent> extents;  // one for each of program().tensors
    std::vector<Memory> inputs;
    std::vector<Bounds> bounds;  // of the inputs
  };

  const Program& program() const { return program_; }
  // Indices into program().tensors, in its order.
  const std::vector<int>& inputs() const { return inputs_; }
  const std::vector<int>& outputs() const { return outputs_; }

  // Whether a tensor has a shape with program().dims[i].
  bool uses_dim(size_t i) const { return dim_used_[i]; }

  // Copies the inputs, in the order of inputs(); `sizes` are those of program().dims. Throws Error(Status::input). May be
  // called while another run is executed. The memory of a run that is `over` is used again.
  std::unique_ptr<Run> prepare(const std::vector<int64_t>& sizes, const std::vector<InputArray>& inputs, std::unique_ptr<Run> over = nullptr) const;

  // Replaces the one element of input number `input`.
  void set_scalar(Run* run, size_t input, uint32_t bits) const;

  // Runs every check, then every instruction. One call at a time; waits for other executors of the engine or the
  // store. Where it throws Error(Status::input), nothing has changed.
  void execute(const Run& run);

  // An output of the last run, by index into program().tensors; rows may lie apart. Valid until the next one starts.
  const Tensor& output(int tensor) const { return values_[tensor]; }
  // Its elements without gaps.
  void copy_output(int tensor, void* to) const;

  // Seconds spent in each instruction over all runs; empty unless asked for.
  const std::vector<double>& profile() const { return seconds_; }

 private:
  // A tensor, or several side by side, with a place in the arena from the instruction that writes it first to the one
  // that reads it last.
  struct Buffer {
    std::vector<int> tensors;
    int64_t stride = 0;  // 0: rows lie without gaps
    int first = 0, last = 0;
    std::vector<int> neighbours;  // earlier buffers that live at the same time
    size_t bytes = 0, offset = 0;
    Memory exact;  // its own place instead, in builds for tests
  };

  void check_operands(const Instruction& instruction, const Op& op) const;
  void resolve_operands();
  void place_buffers();
  void bound_constants();
  void plan(const Run& run);
  void check() const;

  Program program_;
  std::shared_ptr<Store> store_;
  std::shared_ptr<Engine> engine_;
  std::vector<int> inputs_, outputs_;
  std::vector<bool> dim_used_;
  int64_t bounded_writes_ = -1;  // of the store, when the constants were last read for their bounds

  std::vector<Buffer> buffers_;
  Memory arena_;

  std::vector<Bounds> bounds_;         // of the int32 ones of program_.tensors; those of constants stay, others are a run's
  std::vector<Tensor> values_;         // one for each of program_.tensors
  std::vector<int> operand_tensors_;   // of all slots of all calls, in order
  std::vector<Tensor> operands_;       // values_ of these
  std::vector<Slot> slots_;            // point into operands_
  std::vector<const Op*> ops_;
  std::vector<Call> calls_;            // point into slots_
  std::vector<double> seconds_;
};

}  // namespace shortlist
