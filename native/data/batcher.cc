#include "native/data/batcher.h"

#include <algorithm>
#include <string>
#include <utility>

#include "native/core/error.h"

namespace shortlist {
namespace {

const int64_t kTargetsAMark = 16;
const int64_t kPartsABatch = 32;
const int64_t kMaxWorld = 65536;

Clicks checked(Clicks clicks) {
  clicks.check_offsets();
  return clicks;
}

}  // namespace

// ---- the order of the samples ---------------------------------------------------------------------------------------

Batcher::Batcher(Clicks clicks, const BatchOptions& options)
    : clicks_(checked(std::move(clicks))),
      options_(options),
      builder_(clicks_, {options.window, options.growing},
               {options.group_users, options.distinct_items, /*targets=*/true, /*ages=*/true, /*weights=*/true}) {
  if (options.window < 1 || options.batch_size < 1 || options.max_part < 0) {
    throw Error(Status::option, "Expected window, batchSize and maxPart to be whole numbers above 0");
  }
  if (options.world < 1 || options.world > kMaxWorld) {
    throw Error(Status::option, "Expected world from 1 to " + std::to_string(kMaxWorld) + " but received " +
                                    std::to_string(options.world));
  }
  if (options.rank < 0 || options.rank >= options.world) {
    throw Error(Status::option, "Expected rank from 0 to " + std::to_string(options.world - 1) + " but received " +
                                    std::to_string(options.rank));
  }
  index_targets();
  if (options.shared) cut_parts();
  parts_.shrink_to_fit();
}

void Batcher::index_targets() {
  marks_.reserve(
      static_cast<size_t>(clicks_.clicks / kTargetsAMark + 1));  // growing would leave holes of their size in memory
  const int32_t* items = clicks_.target_items();
  for (int64_t user = 0; user < clicks_.users; ++user) {
    for (int32_t click = clicks_.offsets[user]; click < clicks_.offsets[user + 1]; ++click) {
      if (items[click] == 0) continue;
      if (target_count_ % kTargetsAMark == 0) marks_.push_back({click, static_cast<int32_t>(user)});
      ++target_count_;
    }
  }
}

void Batcher::cut_parts() {
  const int32_t* items = clicks_.target_items();
  const int64_t size = options_.max_part > 0 ? options_.max_part
                       : options_.growing    ? (options_.batch_size + kPartsABatch - 1) / kPartsABatch
                                             : INT64_MAX;
  int64_t target = 0;
  for (int64_t user = 0; user < clicks_.users; ++user) {
    int64_t start = -1, previous = 0;
    for (int64_t click = clicks_.offsets[user]; click < clicks_.offsets[user + 1]; ++click) {
      if (items[click] == 0) continue;
      const int64_t from = builder_.history().start(clicks_.offsets[user], click);
      if (start < 0 || (target - start >= size && !(options_.growing && from == previous))) {
        parts_.push_back(static_cast<int32_t>(target));
        start = target;
      }
      previous = from;
      ++target;
    }
  }
  parts_.push_back(static_cast<int32_t>(target));
}

Batcher::Place Batcher::locate(int64_t target) const {
  const int32_t* items = clicks_.target_items();
  Place place = marks_[static_cast<size_t>(target / kTargetsAMark)];
  for (int64_t left = target % kTargetsAMark; left > 0; left -= items[place.click] != 0) ++place.click;
  while (clicks_.offsets[place.user + 1] <= place.click) ++place.user;
  return place;
}

// ---- batches --------------------------------------------------------------------------------------------------------

void Batcher::build(int64_t epoch, int64_t index, Batch* batch) {
  if (epoch < 0 || epoch > UINT32_MAX || index < 0 || index >= batches_per_epoch()) {
    throw Error(Status::option, "Expected batch from 0 to " + std::to_string(batches_per_epoch() - 1) +
                                    " of an epoch from 0 on but received " + std::to_string(index) + " of " +
                                    std::to_string(epoch));
  }
  const std::lock_guard<std::mutex> turn(turn_);
  const int64_t start = index * options_.batch_size, samples = std::min(target_count_ - start, options_.batch_size);
  const int64_t first = start + options_.rank * samples / options_.world;
  const int64_t end = start + (options_.rank + 1) * samples / options_.world;
  if (epoch != epoch_) {
    const int64_t length = options_.shared ? static_cast<int64_t>(parts_.size()) - 1 : target_count_;
    order_ = KeyedPermutation(length, options_.seed, static_cast<uint32_t>(epoch), options_.shared ? 1 : 0);
    epoch_ = epoch;
    part_ = before_ = 0;
  }
  builder_.begin(batch, end - first);
  if (options_.shared) {
    add_parts(first, end);
  } else {
    add_shuffled(first, end);
  }
  builder_.finish();
}

// Samples `first` to `end` − 1 of the epoch. Each is somewhere else in memory: every loop asks for what the next one
// reads, so that the processor waits for many places at once.
void Batcher::add_shuffled(int64_t first, int64_t end) {
  const int32_t* items = clicks_.target_items();
  places_.clear();
  for (int64_t sample = first; sample < end; ++sample) {
    places_.push_back({static_cast<int32_t>(order_.at(sample)), 0});
    __builtin_prefetch(&marks_[static_cast<size_t>(places_.back().click / kTargetsAMark)]);
  }
  for (const Place& place : places_) {
    const Place& mark = marks_[static_cast<size_t>(place.click / kTargetsAMark)];
    __builtin_prefetch(items + mark.click);
    __builtin_prefetch(items + mark.click + kElementsPerLine);
    __builtin_prefetch(clicks_.offsets + mark.user);
  }
  for (Place& place : places_) {
    place = locate(place.click);
    const int64_t from = builder_.history().start(clicks_.offsets[place.user], place.click);
    for (const Clicks::UserFeature& feature : clicks_.user_features) {
      __builtin_prefetch((feature.offsets ? feature.offsets : feature.ids) + place.user);
    }
    if (clicks_.has_times) __builtin_prefetch(clicks_.times.values + place.click);
    if (clicks_.weights.values) __builtin_prefetch(clicks_.weights.values + place.click);
    for (const Clicks::ClickNumber& feature : clicks_.click_numbers) {
      const float* read = feature.number.values;
      for (int64_t click = from; click < place.click; click += kElementsPerLine) __builtin_prefetch(read + click);
    }
    for (const Clicks::ItemFeature& feature : clicks_.item_features) {
      const int32_t* read = feature.offsets ? feature.offsets : feature.ids;
      for (int64_t click = from; click <= place.click; click += kElementsPerLine) __builtin_prefetch(read + click);
      __builtin_prefetch(read + place.click);
    }
  }
  for (const Place& place : places_) builder_.add_isolated(place);
}

// The same from the parts in their order, from where the last call left off.
void Batcher::add_parts(int64_t first, int64_t end) {
  if (before_ > first) part_ = before_ = 0;
  for (int64_t sample = first; sample < end;) {
    const int64_t part = order_.at(part_), after = before_ + parts_[part + 1] - parts_[part];
    if (after > sample) {
      const int64_t stop = std::min(end, after), shift = parts_[part] - before_;
      builder_.add_shared(locate(sample + shift), stop - sample);
      sample = stop;
    }
    if (after > end) break;  // continued in the next batch
    before_ = after;
    ++part_;
  }
}

}  // namespace shortlist
