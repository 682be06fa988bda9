#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/core/executor.h"
#include "native/data/batcher.h"
#include "native/data/prefetch.h"

namespace shortlist {

// The inner loop of training. It takes each batch from the thread that builds them ahead, runs the training Program on
// it, and collects the Program's scalar outputs and the sizes of the batch. It does not depend on Node.
class StepLoop {
 public:
  // Training steps that have passed the checks of `prepare`, with a copy of their scalars.
  struct Steps {
    // A Program input that is not part of a batch, such as the learning rate: one element for all steps, or one for
    // each.
    struct Scalar {
      size_t input;  // index into Plan::inputs()
      std::vector<uint32_t> bits;
    };

    int64_t epoch, index, count;  // batches `index` to `index + count − 1` of an epoch
    std::vector<Scalar> scalars;
  };

  // One named 4-byte element for each step.
  struct Column {
    std::string name;
    Dtype dtype;
    std::vector<uint32_t> bits;
  };

  struct Result {
    std::vector<Column> outputs;  // the Program's scalar outputs, in the order of Plan::outputs()
    std::vector<Column> dims;     // the size of each dim in each batch (int32), in the order of Batcher::layout()
    double seconds_waited = 0;    // seconds spent waiting for batches, summed over the steps
  };

  // The clicks that `batcher` reads must outlive the loop.
  StepLoop(std::shared_ptr<Batcher> batcher, std::shared_ptr<Executor> executor);

  // The Program's inputs that are not part of a batch, as indices into Plan::inputs(). `prepare` takes only scalars.
  const std::vector<size_t>& scalar_inputs() const { return scalar_inputs_; }

  // Prepares one step for each of the batches `index` to `index + count − 1` of an epoch. `scalars` are in the order of
  // scalar_inputs() and have 1 or `count` elements each; they are copied. May be called while other steps run. Throws
  // Error(Status::option) if the epoch has no such batches, and Error(Status::input) if a scalar is missing or has
  // another dtype or length.
  Steps prepare(int64_t epoch, int64_t index, int64_t count, const std::vector<InputArray>& scalars) const;

  // Runs the steps in order. Only one thread at a time may call it. Throws what Executor::execute throws; the steps
  // before the failed one have been run then.
  Result run(const Steps& steps);

 private:
  std::shared_ptr<Executor> executor_;
  Prefetch prefetch_;
  std::vector<size_t> scalar_inputs_;
};

}  // namespace shortlist
