#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "native/data/batch.h"
#include "native/data/clicks.h"

namespace shortlist {

// Which clicks before a target are its history; src/data/batches.ts.
struct HistoryWindow {
  int64_t window = 0;
  bool growing = false;

  // The first click of the history of target `click`, or of the click that would follow a user's last one.
  int64_t start(int64_t user_start, int64_t click) const {
    if (!growing) return std::max(user_start, click - window);
    return user_start + window * std::max<int64_t>(0, (click - user_start + window - 1) / window - 2);
  }
};

// What the batches of a BatchBuilder hold besides the histories and features of their samples.
struct BatchContents {
  bool group_users = false;     // a row of user features for neighbouring samples of one user
  bool distinct_items = false;  // the distinct items of the positions
  bool targets = false;         // the items of the targets
  bool ages = false;            // the ages of the targets; without them all ages are 0, those of the clicks of now
  bool weights = false;         // the weights of the targets, if clicks have weights
};

// Lays samples out as positions, sequences and timesteps and gathers their features: the batches of
// src/data/batches.ts, array for array. Training and serving build all of their batches with it. One thread uses it at
// a time.
class BatchBuilder {
 public:
  // The click that a sample predicts, and its user. It may be the one after the user's last click, which is not there,
  // unless the batches hold targets.
  struct Target {
    int32_t click;
    int32_t user;
  };

  // `clicks` must outlive it, and its offsets must have been checked. Throws Error(Status::input) for negative items
  // with distinct_items.
  BatchBuilder(const Clicks& clicks, HistoryWindow history, BatchContents contents);

  // An empty batch with the names of its inputs and dims.
  Batch layout() const;

  const HistoryWindow& history() const { return history_; }

  // Starts a batch of exactly so many samples, in a batch of this layout.
  void begin(Batch* batch, int64_t samples);
  // Adds a sample with positions and a sequence of its own.
  void add_isolated(Target target);
  // Adds `count` samples of one user, whose targets are `first` and the clicks after it that are targets. They share
  // positions, and those whose histories begin at the same click share a sequence.
  void add_shared(Target first, int64_t count);
  // Gathers the features.
  void finish();

 private:
  // Consecutive clicks whose features a batch gathers; `click` is −1 for the one position of <unk>.
  struct Span {
    int32_t click;
    int32_t count;
  };
  // Consecutive queries, and where the first of them stands in the batch.
  struct QuerySpan {
    int32_t from, to, place;
  };
  class Writer;

  void add_span(int64_t click, int64_t count);
  void add_sequence(int64_t position);
  void add_sample(Target target, int64_t position, int64_t timestep);
  void add_user(int32_t user, int64_t samples);

  void gather_users(Writer* writer) const;
  int64_t gather_lists(const Clicks::UserFeature& feature, Elements* ids, int32_t* start, int32_t* end) const;
  void gather_searches(const Clicks::Searches& searches, Writer* writer);
  void gather_numbers(float* to) const;
  void gather_ages(float* ages) const;
  void gather_click_number(const Clicks::Number& number, float* to) const;
  bool has_weights() const { return contents_.weights && clicks_.weights.values; }
  void gather_single(const Clicks::ItemFeature& feature, int32_t* to) const;
  int64_t gather_offsets(const Clicks::ItemFeature& feature, int32_t* offset) const;
  void gather_values(const Clicks::ItemFeature& feature, int32_t* to) const;
  int64_t gather_distinct(const int32_t* items, Elements* distinct, Elements* timestep_item);

  const Clicks& clicks_;
  const HistoryWindow history_;
  const BatchContents contents_;

  // The batch that is being built.
  Batch* batch_ = nullptr;
  std::vector<Target> targets_;
  std::vector<int32_t> users_;         // of each row of user features
  std::vector<int32_t> user_offsets_;  // [users + 1] the samples of each, with group_users
  std::vector<Span> spans_;
  std::vector<QuerySpan> query_spans_;  // of one feature
  int64_t positions_ = 0;
  int32_t *sample_start_ = nullptr, *sample_end_ = nullptr, *timestep_start_ = nullptr, *timestep_end_ = nullptr;
  Elements *timestep_position_ = nullptr, *sequence_offsets_ = nullptr;
  std::vector<int32_t> place_of_item_;    // [items] among the distinct ones, −1 between batches
  std::vector<int32_t> position_places_;  // [positions] of their items among the distinct ones
};

}  // namespace shortlist
