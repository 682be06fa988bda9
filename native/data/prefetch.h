#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/core/executor.h"
#include "native/data/batcher.h"

namespace shortlist {

// Builds the batches of the steps to come on a thread of its own, a few ahead, as inputs that an executor can start
// with. The thread sleeps when it is far enough ahead.
class Prefetch {
 public:
  struct Step {
    std::unique_ptr<RunInputs> inputs;
    std::vector<int64_t> dims;  // sizes of the batch's dims, in the layout's order
  };

  // Inputs of the Program that no batch has must be scalars: they are left zero, for the taker to write.
  Prefetch(std::shared_ptr<Batcher> batcher, std::shared_ptr<const Executor> executor);
  // Waits for the batch that is being built, if any.
  ~Prefetch();
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  const Batcher& batcher() const;
  // Of each input of the Program, the index into Batch::inputs; −1 for those that no batch has.
  const std::vector<int>& sources() const;
  const Batch& layout() const;

  // The batch of this step, once it is built; the one after it (in the epoch, else the next epoch's first) is expected
  // to be taken next. Throws the Error that building it met.
  std::unique_ptr<Step> take(int64_t epoch, int64_t index);
  // Gives its memory back for later steps.
  void recycle(std::unique_ptr<Step> step);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shortlist
