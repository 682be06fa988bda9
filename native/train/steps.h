#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/core/executor.h"
#include "native/data/batcher.h"
#include "native/data/prefetch.h"

namespace shortlist {

// The inner loop of training: takes one batch after another from the thread that builds them ahead, runs the Program on
// each, and collects the Program's scalar outputs and the sizes of the batches. It uses nothing of Node; the bindings
// call it.
class StepLoop {
 public:
  // Steps that are checked and have their scalars, and have not started.
  struct Steps {
    // An input that no batch has: one element for all steps, or one for each step.
    struct Scalar {
      size_t input;  // index into Plan::inputs()
      std::vector<uint32_t> bits;
    };

    int64_t pass, index, count;  // batches `index` to `index + count − 1` of pass `pass`
    std::vector<Scalar> scalars;
  };

  // One 4-byte element for each step.
  struct Column {
    std::string name;
    Dtype dtype;
    std::vector<uint32_t> bits;
  };

  struct Result {
    std::vector<Column> outputs;  // the Program's outputs that are scalars, in the order of Plan::outputs()
    std::vector<Column> dims;     // int32: the sizes of the batches' dims, in the order of Batcher::layout()
    double seconds_waited = 0;    // for batches, summed over the steps
  };

  // The clicks of `batcher` must outlive the loop.
  StepLoop(std::shared_ptr<Batcher> batcher, std::shared_ptr<Executor> executor);

  // The Program's inputs that no batch has, as indices into Plan::inputs(). Only scalars can be given to `prepare`.
  const std::vector<size_t>& scalar_inputs() const { return scalar_inputs_; }

  // Batches `index` to `index + count − 1` of pass `pass`, with a copy of `scalars`, which are in the order of
  // scalar_inputs() and have 1 or `count` elements each. May be called while other steps run. Throws
  // Error(Status::option) where a pass has no such batches and Error(Status::input) for scalars that are missing, of
  // another dtype or of another length.
  Steps prepare(int64_t pass, int64_t index, int64_t count, const std::vector<InputArray>& scalars) const;

  // Runs the steps in order. One call at a time. Where it throws, the steps before the refused one have been run.
  Result run(const Steps& steps);

 private:
  std::shared_ptr<Executor> executor_;
  Prefetch prefetch_;
  std::vector<size_t> scalar_inputs_;
};

}  // namespace shortlist
