#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "native/data/batch_builder.h"
#include "native/data/permutation.h"

namespace shortlist {

struct BatchOptions {
  int64_t window = 0;
  bool growing = false;  // windows
  bool shared = false;   // batching
  int64_t batch_size = 0;
  int64_t max_part = 0;  // 0: the default
  uint32_t seed = 0;
  bool group_users = false;
  bool distinct_items = false;
  int64_t world = 1;  // ranks that train one model together
  int64_t rank = 0;   // whose share of each batch is built
};

// The training batches of src/data/batches.ts, which says what they hold: the same ones, array for array.
//
// Besides the clicks it keeps, for every 16th target, where it is, and 4 bytes for each part of a user in shared
// batches; an epoch needs no more. Shared batches are quick in order: any other index counts from the beginning of its
// epoch.
class Batcher {
 public:
  // Throws Error(Status::input) for offsets that do not fit and Error(Status::option).
  Batcher(Clicks clicks, const BatchOptions& options);

  // The largest number of samples that this rank's share of a batch has.
  int64_t share_size() const { return (options_.batch_size + options_.world - 1) / options_.world; }
  // Of all ranks together.
  int64_t samples_per_epoch() const { return target_count_; }
  int64_t batches_per_epoch() const { return (target_count_ + options_.batch_size - 1) / options_.batch_size; }

  // An empty batch with the names of its inputs and dims.
  Batch layout() const { return builder_.layout(); }

  // Writes this rank's share of batch `index` of epoch `epoch`, both from 0, into a batch of this layout. Any thread
  // may call it, at any time. Throws Error(Status::option) where there is no such batch.
  void build(int64_t epoch, int64_t index, Batch* batch);

 private:
  using Place = BatchBuilder::Target;

  void index_targets();
  void cut_parts();
  Place locate(int64_t target) const;
  void add_shuffled(int64_t first, int64_t end);
  void add_parts(int64_t first, int64_t end);

  const Clicks clicks_;
  const BatchOptions options_;
  BatchBuilder builder_;
  int64_t target_count_ = 0;
  std::vector<Place> marks_;    // of targets 0, 16, 32, …
  std::vector<int32_t> parts_;  // [parts + 1] where each begins in the targets

  std::mutex turn_;
  // The order of one epoch, and for shared batches how far it was followed: `part_` parts with `before_` samples in
  // all.
  int64_t epoch_ = -1, part_ = 0, before_ = 0;
  KeyedPermutation order_;

  std::vector<Place> places_;  // of the batch that is being built
};

}  // namespace shortlist
