#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "native/core/memory.h"
#include "native/core/tensor.h"
#include "native/data/permutation.h"

namespace shortlist {

// A click log as ids: src/data/clicks.ts. The arrays belong to somebody else and outlive what reads them.
struct Clicks {
  struct UserFeature {
    std::string name;
    const int32_t* ids;  // [users]
  };
  struct Number {
    const float* values;  // [users], NaN where missing
    double mean, deviation;
  };
  struct Times {
    const double* values;  // [clicks], NaN where missing; nullptr where there are no times
    double earliest, latest;
  };
  struct ItemFeature {
    std::string name;
    const int32_t* ids;      // [clicks], or [value_count]
    const int32_t* offsets;  // [clicks + 1]; nullptr for one value a click
    int64_t value_count;
  };

  int64_t users = 0, clicks = 0;
  const int32_t* offsets = nullptr;  // [users + 1]
  std::vector<UserFeature> user_features;
  std::vector<Number> numbers;
  Times times = {nullptr, 0, 0};
  std::vector<ItemFeature> item_features;  // the item first
};

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

// Memory for 4-byte elements that is used again and again. Growing keeps the elements; new ones are not cleared.
class Elements {
 public:
  int64_t size() const { return size_; }
  int32_t* ids() const { return static_cast<int32_t*>(memory_.data()); }
  float* numbers() const { return static_cast<float*>(memory_.data()); }
  const void* data() const { return memory_.data(); }

  void resize(int64_t size);
  void push(int32_t value) {
    resize(size_ + 1);
    ids()[size_ - 1] = value;
  }

 private:
  Memory memory_;
  int64_t size_ = 0;
};

// The inputs and dims of src/data/batches.ts, Batch.
struct Batch {
  struct Input {
    std::string name;
    Dtype dtype;
    Elements elements;
  };
  struct Dim {
    std::string name;
    int64_t size;
  };

  std::vector<Input> inputs;
  std::vector<Dim> dims;
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
  Batch layout() const;

  // Writes this rank's share of batch `index` of epoch `epoch`, both from 0, into a batch of this layout. Any thread
  // may call it, at any time. Throws Error(Status::option) where there is no such batch.
  void build(int64_t epoch, int64_t index, Batch* batch);

 private:
  // A target: its click and its user.
  struct Place {
    int32_t click;
    int32_t user;
  };
  // Consecutive clicks whose features a batch gathers; `click` is −1 for the one position of <unk>.
  struct Span {
    int32_t click;
    int32_t count;
  };

  void check_offsets(const char* name, const int32_t* offsets, int64_t groups, int64_t end) const;
  void index_targets();
  void cut_parts();
  Place locate(int64_t target) const;
  int64_t history_start(int64_t user_start, int64_t click) const;

  void begin(Batch* batch, int64_t samples);
  void add_shuffled(int64_t first, int64_t end);
  void add_parts(int64_t first, int64_t end);
  void add_span(int64_t click, int64_t count);
  void add_sequence(int64_t position);
  void add_sample(Place target, int64_t position, int64_t timestep);
  void add_user(int32_t user, int64_t samples);
  void add_isolated(Place target);
  void add_shared(int64_t first, int64_t end);
  void gather(Batch* batch);
  void gather_ages(float* ages) const;
  int64_t gather_distinct(const int32_t* items, Elements* distinct, Elements* timestep_item);

  const Clicks clicks_;
  const BatchOptions options_;
  int64_t target_count_ = 0;
  std::vector<Place> marks_;    // of targets 0, 16, 32, …
  std::vector<int32_t> parts_;  // [parts + 1] where each begins in the targets

  std::mutex turn_;
  // The order of one epoch, and for shared batches how far it was followed: `part_` parts with `before_` samples in
  // all.
  int64_t epoch_ = -1, part_ = 0, before_ = 0;
  KeyedPermutation order_;

  // The batch that is being built.
  std::vector<Place> places_, targets_;
  std::vector<int32_t> users_;         // of each row of user features
  std::vector<int32_t> user_offsets_;  // [users + 1] the samples of each, with group_users
  std::vector<Span> spans_;
  std::vector<int32_t> place_of_item_;    // [items] among the distinct ones, −1 between batches
  std::vector<int32_t> position_places_;  // [positions] of their items among the distinct ones
  int64_t positions_ = 0;
  int32_t *sample_start_ = nullptr, *sample_end_ = nullptr, *timestep_start_ = nullptr, *timestep_end_ = nullptr;
  Elements *timestep_position_ = nullptr, *sequence_offsets_ = nullptr;
};

}  // namespace shortlist
