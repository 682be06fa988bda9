#include "native/data/batcher.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "native/core/error.h"

namespace shortlist {
namespace {

const int64_t kTargetsAMark = 16;
const int64_t kPartsABatch = 32;
const int64_t kMinElements = 1024;
const int64_t kElementsPerLine = 16;
const int64_t kSpansAhead = 16;
const int64_t kItemsAhead = 32;
const int64_t kAgeInputs = 3;
const int64_t kMaxWorld = 65536;

const char* const kItems[] = {"distinct_item", "timestep_item"};
// Inputs after those of the features and items, in this order.
const char* const kRanges[] = {"sample_start", "sample_end", "timestep_position", "sequence_offsets", "timestep_start",
                               "timestep_end", "target"};

}  // namespace

void Elements::resize(int64_t size) {
  if (size * kBytesPerElement > static_cast<int64_t>(memory_.bytes())) {
    Memory grown(static_cast<size_t>(std::max(kMinElements, size + size / 2) * kBytesPerElement));
    if (size_ > 0) std::memcpy(grown.data(), memory_.data(), static_cast<size_t>(size_ * kBytesPerElement));
    memory_ = std::move(grown);
  }
  size_ = size;
}

// ---- the order of the samples ---------------------------------------------------------------------------------------

Batcher::Batcher(Clicks clicks, const BatchOptions& options) : clicks_(std::move(clicks)), options_(options) {
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
  check_offsets("click_offsets", clicks_.offsets, clicks_.users, clicks_.clicks);
  for (const Clicks::ItemFeature& feature : clicks_.item_features) {
    if (feature.offsets) check_offsets(feature.name.c_str(), feature.offsets, clicks_.clicks, feature.value_count);
  }
  index_targets();
  if (options.shared) cut_parts();
  parts_.shrink_to_fit();
  if (options.distinct_items) {
    const int32_t* const items = clicks_.item_features[0].ids;
    int32_t least = 0, largest = 0;
    for (int64_t click = 0; click < clicks_.clicks; ++click) {
      least = std::min(least, items[click]);
      largest = std::max(largest, items[click]);
    }
    if (least < 0) throw Error(Status::input, "Expected items from 0 on but received " + std::to_string(least));
    place_of_item_.assign(static_cast<size_t>(largest) + 1, -1);
  }
}

void Batcher::check_offsets(const char* name, const int32_t* offsets, int64_t groups, int64_t end) const {
  bool rising = offsets[0] == 0 && offsets[groups] == end;
  for (int64_t g = 0; g < groups; ++g) rising &= offsets[g] <= offsets[g + 1];
  if (!rising)
    throw Error(Status::input,
                "Expected offsets of \"" + std::string(name) + "\" that rise from 0 to " + std::to_string(end));
}

void Batcher::index_targets() {
  marks_.reserve(
      static_cast<size_t>(clicks_.clicks / kTargetsAMark + 1));  // growing would leave holes of their size in memory
  const int32_t* items = clicks_.item_features[0].ids;
  for (int64_t user = 0; user < clicks_.users; ++user) {
    for (int32_t click = clicks_.offsets[user]; click < clicks_.offsets[user + 1]; ++click) {
      if (items[click] == 0) continue;
      if (target_count_ % kTargetsAMark == 0) marks_.push_back({click, static_cast<int32_t>(user)});
      ++target_count_;
    }
  }
}

void Batcher::cut_parts() {
  const int32_t* items = clicks_.item_features[0].ids;
  const int64_t size = options_.max_part > 0 ? options_.max_part
                       : options_.growing    ? (options_.batch_size + kPartsABatch - 1) / kPartsABatch
                                             : INT64_MAX;
  int64_t target = 0;
  for (int64_t user = 0; user < clicks_.users; ++user) {
    int64_t start = -1, previous = 0;
    for (int64_t click = clicks_.offsets[user]; click < clicks_.offsets[user + 1]; ++click) {
      if (items[click] == 0) continue;
      const int64_t from = history_start(clicks_.offsets[user], click);
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
  const int32_t* items = clicks_.item_features[0].ids;
  Place place = marks_[static_cast<size_t>(target / kTargetsAMark)];
  for (int64_t left = target % kTargetsAMark; left > 0; left -= items[place.click] != 0) ++place.click;
  while (clicks_.offsets[place.user + 1] <= place.click) ++place.user;
  return place;
}

int64_t Batcher::history_start(int64_t user_start, int64_t click) const {
  const int64_t window = options_.window, before = click - user_start;
  if (!options_.growing) return std::max(user_start, click - window);
  return user_start + window * std::max<int64_t>(0, (before + window - 1) / window - 2);
}

// ---- a batch --------------------------------------------------------------------------------------------------------

Batch Batcher::layout() const {
  Batch batch;
  const auto add = [&](const std::string& name, Dtype dtype) {
    batch.inputs.emplace_back();
    batch.inputs.back().name = name;
    batch.inputs.back().dtype = dtype;
  };
  for (const char* dim : {"samples", "positions", "sequences", "timesteps"}) batch.dims.push_back({dim, 0});
  if (options_.group_users) batch.dims.push_back({"users", 0});
  for (const Clicks::UserFeature& feature : clicks_.user_features) add(feature.name, Dtype::int32);
  if (!clicks_.numbers.empty()) add("numbers", Dtype::float32);
  if (options_.group_users) add("user_offsets", Dtype::int32);
  if (clicks_.times.values) add("example_age", Dtype::float32);
  for (const Clicks::ItemFeature& feature : clicks_.item_features) {
    add(feature.name, Dtype::int32);
    if (!feature.offsets) continue;
    add(feature.name + "_offsets", Dtype::int32);
    batch.dims.push_back({feature.name, 0});
  }
  if (options_.distinct_items) {
    batch.dims.push_back({"distinct", 0});
    for (const char* name : kItems) add(name, Dtype::int32);
  }
  for (const char* name : kRanges) add(name, Dtype::int32);
  return batch;
}

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
  begin(batch, end - first);
  if (options_.shared) {
    add_parts(first, end);
  } else {
    add_shuffled(first, end);
  }
  gather(batch);
}

// Samples `first` to `end` − 1 of the epoch. Each is somewhere else in memory: every loop asks for what the next one
// reads, so that the processor waits for many places at once.
void Batcher::add_shuffled(int64_t first, int64_t end) {
  const int32_t* items = clicks_.item_features[0].ids;
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
    const int64_t from = history_start(clicks_.offsets[place.user], place.click);
    for (const Clicks::UserFeature& feature : clicks_.user_features) __builtin_prefetch(feature.ids + place.user);
    if (clicks_.times.values) __builtin_prefetch(clicks_.times.values + place.click);
    for (const Clicks::ItemFeature& feature : clicks_.item_features) {
      const int32_t* read = feature.offsets ? feature.offsets : feature.ids;
      for (int64_t click = from; click <= place.click; click += kElementsPerLine) __builtin_prefetch(read + click);
      __builtin_prefetch(read + place.click);
    }
  }
  for (const Place& place : places_) add_isolated(place);
}

// The same from the parts in their order, from where the last call left off.
void Batcher::add_parts(int64_t first, int64_t end) {
  if (before_ > first) part_ = before_ = 0;
  for (int64_t sample = first; sample < end;) {
    const int64_t part = order_.at(part_), after = before_ + parts_[part + 1] - parts_[part];
    if (after > sample) {
      const int64_t stop = std::min(end, after), shift = parts_[part] - before_;
      add_shared(sample + shift, stop + shift);
      sample = stop;
    }
    if (after > end) break;  // continued in the next batch
    before_ = after;
    ++part_;
  }
}

void Batcher::begin(Batch* batch, int64_t samples) {
  spans_.clear();
  targets_.clear();
  users_.clear();
  user_offsets_.assign(1, 0);
  positions_ = 0;
  Elements* ranges[7];
  for (int i = 0; i < 7; ++i) {
    ranges[i] = &batch->inputs[batch->inputs.size() - 7 + i].elements;
    ranges[i]->resize(samples);
  }
  sample_start_ = ranges[0]->ids();
  sample_end_ = ranges[1]->ids();
  timestep_position_ = ranges[2];
  sequence_offsets_ = ranges[3];
  timestep_start_ = ranges[4]->ids();
  timestep_end_ = ranges[5]->ids();
  timestep_position_->resize(0);
  sequence_offsets_->resize(0);
  sequence_offsets_->push(0);
}

void Batcher::add_span(int64_t click, int64_t count) {
  positions_ += count;
  if (!spans_.empty() && click >= 0 && spans_.back().click >= 0 && spans_.back().click + spans_.back().count == click) {
    spans_.back().count += static_cast<int32_t>(count);
  } else if (count > 0) {
    spans_.push_back({static_cast<int32_t>(click), static_cast<int32_t>(count)});
  }
}

// A sequence over the positions from `position` to the last one.
void Batcher::add_sequence(int64_t position) {
  const int64_t timestep = timestep_position_->size();
  timestep_position_->resize(timestep + positions_ - position);
  for (int64_t p = position; p < positions_; ++p)
    timestep_position_->ids()[timestep + p - position] = static_cast<int32_t>(p);
  sequence_offsets_->push(static_cast<int32_t>(timestep_position_->size()));
}

// A sample whose history is the positions from `position` on and the timesteps from `timestep` on, to the last ones.
void Batcher::add_sample(Place target, int64_t position, int64_t timestep) {
  const size_t s = targets_.size();
  targets_.push_back(target);
  sample_start_[s] = static_cast<int32_t>(position);
  sample_end_[s] = static_cast<int32_t>(positions_);
  timestep_start_[s] = static_cast<int32_t>(timestep);
  timestep_end_[s] = static_cast<int32_t>(timestep_position_->size());
}

// The user of the last `samples` samples.
void Batcher::add_user(int32_t user, int64_t samples) {
  users_.insert(users_.end(), static_cast<size_t>(options_.group_users ? 1 : samples), user);
  user_offsets_.push_back(static_cast<int32_t>(targets_.size()));
}

void Batcher::add_isolated(Place target) {
  const int64_t from = history_start(clicks_.offsets[target.user], target.click);
  const int64_t position = positions_, timestep = timestep_position_->size();
  if (from == target.click) {
    add_span(-1, 1);
  } else {
    add_span(from, target.click - from);
  }
  add_sequence(position);
  add_sample(target, position, timestep);
  add_user(target.user, 1);
}

// Targets `first` to `end` − 1, all of one user, sharing positions and sequences of prefixes.
void Batcher::add_shared(int64_t first, int64_t end) {
  const int32_t* items = clicks_.item_features[0].ids;
  Place target = locate(first);
  const int64_t user_start = clicks_.offsets[target.user];
  int64_t stored = -1;                              // one past the click that was stored last
  int64_t sequence_from = -1, sequence_start = -1;  // the click and the timestep that the last sequence begins with
  for (int64_t left = end - first; left > 0; ++target.click) {
    if (items[target.click] == 0) continue;
    --left;
    const int64_t click = target.click, from = history_start(user_start, click);
    if (from == click) add_span(-1, 1);
    const int64_t store_from = std::max(stored, from);
    if (store_from < click) add_span(store_from, click - store_from);
    stored = click;
    const int64_t position = positions_ - std::max<int64_t>(1, click - from);
    if (from != sequence_from) {
      sequence_from = from == click ? -1 : from;
      sequence_start = timestep_position_->size();
      add_sequence(position);
    } else {
      for (int64_t timestep = timestep_position_->size() - sequence_start; timestep < click - from; ++timestep)
        timestep_position_->push(static_cast<int32_t>(position + timestep));
      sequence_offsets_->ids()[sequence_offsets_->size() - 1] = static_cast<int32_t>(timestep_position_->size());
    }
    add_sample(target, position, sequence_start);
  }
  add_user(target.user, end - first);
}

// The features of the users, of the positions and of the targets.
void Batcher::gather(Batch* batch) {
  const int64_t samples = static_cast<int64_t>(targets_.size()), users = static_cast<int64_t>(users_.size());
  Batch::Input* input = batch->inputs.data();
  Batch::Dim* dim = batch->dims.data();
  (dim++)->size = samples;
  (dim++)->size = positions_;
  (dim++)->size = sequence_offsets_->size() - 1;
  (dim++)->size = timestep_position_->size();
  if (options_.group_users) (dim++)->size = users;
  for (const Clicks::UserFeature& feature : clicks_.user_features) {
    Elements& elements = (input++)->elements;
    elements.resize(users);
    for (int64_t u = 0; u < users; ++u) elements.ids()[u] = feature.ids[users_[u]];
  }
  if (!clicks_.numbers.empty()) {
    Elements& elements = (input++)->elements;
    const int64_t columns = static_cast<int64_t>(clicks_.numbers.size());
    elements.resize(users * columns);
    for (int64_t column = 0; column < columns; ++column) {
      const Clicks::Number& number = clicks_.numbers[column];
      const double scale = number.deviation > 0 ? 1 / number.deviation : 1;
      for (int64_t u = 0; u < users; ++u) {
        const float value = number.values[users_[u]];
        elements.numbers()[u * columns + column] =
            std::isnan(value) ? 0.0f : static_cast<float>((static_cast<double>(value) - number.mean) * scale);
      }
    }
  }
  if (options_.group_users) {
    Elements& elements = (input++)->elements;
    elements.resize(users + 1);
    std::memcpy(elements.ids(), user_offsets_.data(), static_cast<size_t>((users + 1) * kBytesPerElement));
  }
  if (clicks_.times.values) {
    Elements& elements = (input++)->elements;
    elements.resize(samples * kAgeInputs);
    gather_ages(elements.numbers());
  }
  const Elements& items_of_positions = input->elements;
  for (const Clicks::ItemFeature& feature : clicks_.item_features) {
    Elements& elements = (input++)->elements;
    if (!feature.offsets) {
      elements.resize(positions_);
      int32_t* to = elements.ids();
      for (const Span& span : spans_) {
        if (span.click < 0) {
          *to++ = 0;
          continue;
        }
        std::memcpy(to, feature.ids + span.click, static_cast<size_t>(span.count * kBytesPerElement));
        to += span.count;
      }
      continue;
    }
    Elements& offsets = (input++)->elements;
    offsets.resize(positions_ + 1);
    int32_t* offset = offsets.ids();
    int32_t end = 0;
    *offset++ = 0;
    for (const Span& span : spans_) {
      if (span.click < 0) {
        *offset++ = ++end;
        continue;
      }
      const int32_t shift = end - feature.offsets[span.click];
      for (int32_t i = 1; i <= span.count; ++i) *offset++ = feature.offsets[span.click + i] + shift;
      end = offset[-1];
    }
    (dim++)->size = end;
    elements.resize(end);
    int32_t* to = elements.ids();
    for (size_t i = 0; i < spans_.size(); ++i) {
      const Span& span = spans_[i];
      if (i + kSpansAhead < spans_.size() && spans_[i + kSpansAhead].click >= 0) {
        const Span& ahead = spans_[i + kSpansAhead];
        const int32_t ahead_end = feature.offsets[ahead.click + ahead.count];
        for (int32_t value = feature.offsets[ahead.click]; value < ahead_end; value += kElementsPerLine)
          __builtin_prefetch(feature.ids + value);
      }
      if (span.click < 0) {
        *to++ = 0;
        continue;
      }
      const int32_t from = feature.offsets[span.click], count = feature.offsets[span.click + span.count] - from;
      std::memcpy(to, feature.ids + from, static_cast<size_t>(count * kBytesPerElement));
      to += count;
    }
  }
  if (options_.distinct_items) {
    dim->size = gather_distinct(items_of_positions.ids(), &input[0].elements, &input[1].elements);
  }
  int32_t* target = batch->inputs.back().elements.ids();
  const int32_t* items = clicks_.item_features[0].ids;
  for (int64_t s = 0; s < samples; ++s) target[s] = items[targets_[s].click];
}

// The distinct items of the positions in the order in which they first appear, and which of them each timestep reads.
// Returns their number.
int64_t Batcher::gather_distinct(const int32_t* items, Elements* distinct, Elements* timestep_item) {
  position_places_.resize(static_cast<size_t>(positions_));
  distinct->resize(positions_ + 1);
  int32_t* const place_of_item = place_of_item_.data();
  int32_t* const to = distinct->ids();
  int32_t count = 0;
  for (int64_t p = 0; p < positions_; ++p) {
    if (p + kItemsAhead < positions_) __builtin_prefetch(place_of_item + items[p + kItemsAhead], 1);
    // Whether an item is new cannot be guessed, so nothing branches on it.
    const int32_t seen = place_of_item[items[p]], is_new = seen >> 31;
    const int32_t place = (seen & ~is_new) | (count & is_new);
    to[count] = items[p];
    count -= is_new;
    place_of_item[items[p]] = position_places_[static_cast<size_t>(p)] = place;
  }
  distinct->resize(count);
  for (int32_t i = 0; i < count; ++i) place_of_item[to[i]] = -1;
  const int64_t timesteps = timestep_position_->size();
  timestep_item->resize(timesteps);
  for (int64_t s = 0; s < timesteps; ++s) {
    timestep_item->ids()[s] = position_places_[static_cast<size_t>(timestep_position_->ids()[s])];
  }
  return count;
}

// The age x of each target as x, x², √x.
void Batcher::gather_ages(float* ages) const {
  const Clicks::Times& times = clicks_.times;
  const double span = times.latest - times.earliest;
  for (const Place& target : targets_) {
    const double time = times.values[target.click];
    const bool is_known = time >= times.earliest && time <= times.latest;
    const double age = !is_known ? 1 : span > 0 && span < HUGE_VAL ? (times.latest - time) / span : 0;
    *ages++ = static_cast<float>(age);
    *ages++ = static_cast<float>(age * age);
    *ages++ = static_cast<float>(std::sqrt(age));
  }
}

}  // namespace shortlist
