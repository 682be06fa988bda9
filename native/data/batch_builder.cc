#include "native/data/batch_builder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "native/core/error.h"

namespace shortlist {
namespace {

const size_t kSpansAhead = 16;
const int64_t kItemsAhead = 32;
const int64_t kAgeInputs = 3;
const int32_t kSearchWindow = 50;

const char* const kDims[] = {"samples", "positions", "sequences", "timesteps"};
const char* const kItems[] = {"distinct_item", "timestep_item"};
// Inputs after those of the features and items, in this order; `target` is the last one, where there are targets.
const char* const kRanges[] = {"sample_start",     "sample_end",     "timestep_position",
                               "sequence_offsets", "timestep_start", "timestep_end"};
const size_t kRangeCount = sizeof kRanges / sizeof kRanges[0];

}  // namespace

// Goes through the inputs and dims of a batch in the order of its layout.
class BatchBuilder::Writer {
 public:
  explicit Writer(Batch* batch) : input_(batch->inputs.data()), dim_(batch->dims.data()) {}

  Elements& next_input() { return (input_++)->elements; }
  Elements& next_input(int64_t size) {
    Elements& elements = next_input();
    elements.resize(size);
    return elements;
  }
  void write_dim(int64_t size) { (dim_++)->size = size; }

 private:
  Batch::Input* input_;
  Batch::Dim* dim_;
};

BatchBuilder::BatchBuilder(const Clicks& clicks, HistoryWindow history, BatchContents contents)
    : clicks_(clicks), history_(history), contents_(contents) {
  if (!contents.distinct_items) return;
  const int32_t* const items = clicks_.item_features[0].ids;
  int32_t least = 0, largest = 0;
  for (int64_t click = 0; click < clicks_.clicks; ++click) {
    least = std::min(least, items[click]);
    largest = std::max(largest, items[click]);
  }
  if (least < 0) throw Error(Status::input, "Expected items from 0 on but received " + std::to_string(least));
  place_of_item_.assign(static_cast<size_t>(largest) + 1, -1);
}

Batch BatchBuilder::layout() const {
  Batch batch;
  const auto add = [&](const std::string& name, Dtype dtype) {
    batch.inputs.emplace_back();
    batch.inputs.back().name = name;
    batch.inputs.back().dtype = dtype;
  };
  for (const char* dim : kDims) batch.dims.push_back({dim, 0});
  if (contents_.group_users) batch.dims.push_back({"users", 0});
  for (const Clicks::UserFeature& feature : clicks_.user_features) {
    add(feature.name, Dtype::int32);
    if (!feature.offsets) continue;
    for (const char* bound : {"_start", "_end"}) add(feature.name + bound, Dtype::int32);
    batch.dims.push_back({feature.name, 0});
  }
  if (!clicks_.numbers.empty()) add("numbers", Dtype::float32);
  if (contents_.group_users) add("user_offsets", Dtype::int32);
  if (clicks_.has_times) add("example_age", Dtype::float32);
  if (has_weights()) add(clicks_.weights.name, Dtype::float32);
  for (const Clicks::Searches& searches : clicks_.searches) {
    for (const char* part : {"", "_offsets", "_start", "_end"}) add(searches.name + part, Dtype::int32);
    for (const char* dim : {"", "_queries"}) batch.dims.push_back({searches.name + dim, 0});
  }
  for (const Clicks::ClickNumber& feature : clicks_.click_numbers) add(feature.name, Dtype::float32);
  for (const Clicks::ItemFeature& feature : clicks_.item_features) {
    add(feature.name, Dtype::int32);
    if (!feature.offsets) continue;
    add(feature.name + "_offsets", Dtype::int32);
    batch.dims.push_back({feature.name, 0});
  }
  if (contents_.distinct_items) {
    batch.dims.push_back({"distinct", 0});
    for (const char* name : kItems) add(name, Dtype::int32);
  }
  for (const char* name : kRanges) add(name, Dtype::int32);
  if (contents_.targets) add("target", Dtype::int32);
  return batch;
}

// ---- the layout of the samples --------------------------------------------------------------------------------------

void BatchBuilder::begin(Batch* batch, int64_t samples) {
  batch_ = batch;
  spans_.clear();
  targets_.clear();
  users_.clear();
  user_offsets_.assign(1, 0);
  positions_ = 0;
  Elements* ranges[kRangeCount];
  const size_t first = batch->inputs.size() - kRangeCount - (contents_.targets ? 1 : 0);
  for (size_t i = 0; i < kRangeCount; ++i) {
    ranges[i] = &batch->inputs[first + i].elements;
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

void BatchBuilder::add_isolated(Target target) {
  const int64_t from = history_.start(clicks_.offsets[target.user], target.click);
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

void BatchBuilder::add_shared(Target first, int64_t count) {
  const int32_t* const items = clicks_.target_items();
  const int64_t user_start = clicks_.offsets[first.user];
  Target target = first;
  int64_t stored = -1;                              // one past the click that was stored last
  int64_t sequence_from = -1, sequence_start = -1;  // the click and the timestep that the last sequence begins with
  for (int64_t left = count; left > 0; ++target.click) {
    if (items[target.click] == 0) continue;
    --left;
    const int64_t click = target.click, from = history_.start(user_start, click);
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
  add_user(first.user, count);
}

void BatchBuilder::add_span(int64_t click, int64_t count) {
  positions_ += count;
  if (!spans_.empty() && click >= 0 && spans_.back().click >= 0 && spans_.back().click + spans_.back().count == click) {
    spans_.back().count += static_cast<int32_t>(count);
  } else if (count > 0) {
    spans_.push_back({static_cast<int32_t>(click), static_cast<int32_t>(count)});
  }
}

// A sequence over the positions from `position` to the last one.
void BatchBuilder::add_sequence(int64_t position) {
  const int64_t timestep = timestep_position_->size();
  timestep_position_->resize(timestep + positions_ - position);
  for (int64_t p = position; p < positions_; ++p)
    timestep_position_->ids()[timestep + p - position] = static_cast<int32_t>(p);
  sequence_offsets_->push(static_cast<int32_t>(timestep_position_->size()));
}

// A sample whose history is the positions from `position` on and the timesteps from `timestep` on, to the last ones.
void BatchBuilder::add_sample(Target target, int64_t position, int64_t timestep) {
  const size_t s = targets_.size();
  targets_.push_back(target);
  sample_start_[s] = static_cast<int32_t>(position);
  sample_end_[s] = static_cast<int32_t>(positions_);
  timestep_start_[s] = static_cast<int32_t>(timestep);
  timestep_end_[s] = static_cast<int32_t>(timestep_position_->size());
}

// The user of the last `samples` samples.
void BatchBuilder::add_user(int32_t user, int64_t samples) {
  users_.insert(users_.end(), static_cast<size_t>(contents_.group_users ? 1 : samples), user);
  user_offsets_.push_back(static_cast<int32_t>(targets_.size()));
}

// ---- the features ---------------------------------------------------------------------------------------------------

void BatchBuilder::finish() {
  Writer writer(batch_);
  writer.write_dim(static_cast<int64_t>(targets_.size()));
  writer.write_dim(positions_);
  writer.write_dim(sequence_offsets_->size() - 1);
  writer.write_dim(timestep_position_->size());
  gather_users(&writer);
  for (const Clicks::Searches& searches : clicks_.searches) gather_searches(searches, &writer);
  for (const Clicks::ClickNumber& feature : clicks_.click_numbers)
    gather_click_number(feature.number, writer.next_input(positions_).numbers());
  const int32_t* items = nullptr;  // of the positions
  for (const Clicks::ItemFeature& feature : clicks_.item_features) {
    Elements& elements = writer.next_input();
    if (feature.offsets) {
      const int64_t values = gather_offsets(feature, writer.next_input(positions_ + 1).ids());
      writer.write_dim(values);
      elements.resize(values);
      gather_values(feature, elements.ids());
    } else {
      elements.resize(positions_);
      gather_single(feature, elements.ids());
    }
    if (!items) items = elements.ids();
  }
  if (contents_.distinct_items) {
    Elements& distinct = writer.next_input();
    writer.write_dim(gather_distinct(items, &distinct, &writer.next_input()));
  }
  if (!contents_.targets) return;
  Elements& target = batch_->inputs.back().elements;
  target.resize(static_cast<int64_t>(targets_.size()));
  const int32_t* const from = clicks_.target_items();
  for (size_t s = 0; s < targets_.size(); ++s) target.ids()[s] = from[targets_[s].click];
}

// The features of the users, and the ages and weights of the targets.
void BatchBuilder::gather_users(Writer* writer) const {
  const int64_t samples = static_cast<int64_t>(targets_.size()), users = static_cast<int64_t>(users_.size());
  if (contents_.group_users) writer->write_dim(users);
  for (const Clicks::UserFeature& feature : clicks_.user_features) {
    if (feature.offsets) {
      Elements& ids = writer->next_input();
      int32_t* const start = writer->next_input(users).ids();
      writer->write_dim(gather_lists(feature, &ids, start, writer->next_input(users).ids()));
      continue;
    }
    int32_t* const to = writer->next_input(users).ids();
    for (int64_t u = 0; u < users; ++u) to[u] = feature.ids[users_[u]];
  }
  if (!clicks_.numbers.empty()) {
    gather_numbers(writer->next_input(users * static_cast<int64_t>(clicks_.numbers.size())).numbers());
  }
  if (contents_.group_users) {
    std::memcpy(writer->next_input(users + 1).ids(), user_offsets_.data(),
                static_cast<size_t>((users + 1) * kBytesPerElement));
  }
  if (clicks_.has_times) {
    float* const ages = writer->next_input(samples * kAgeInputs).numbers();
    if (contents_.ages) gather_ages(ages);
    else std::fill(ages, ages + samples * kAgeInputs, 0.0f);
  }
  if (!has_weights()) return;
  const Clicks::Weights& weights = clicks_.weights;
  float* to = writer->next_input(samples).numbers();
  for (const Target& target : targets_)
    *to++ = static_cast<float>(static_cast<double>(weights.values[target.click]) / weights.mean);
}

// The values of a multi-valued feature and the range of each user's. Returns their number.
int64_t BatchBuilder::gather_lists(const Clicks::UserFeature& feature, Elements* ids, int32_t* start,
                                   int32_t* end) const {
  int32_t values = 0;
  for (size_t u = 0; u < users_.size(); ++u) {
    start[u] = values;
    values += feature.offsets[users_[u] + 1] - feature.offsets[users_[u]];
    end[u] = values;
  }
  ids->resize(values);
  for (size_t u = 0; u < users_.size(); ++u) {
    std::copy(feature.ids + feature.offsets[users_[u]], feature.ids + feature.offsets[users_[u] + 1],
              ids->ids() + start[u]);
  }
  return values;
}

// The last queries before each target. Consecutive samples of a user share queries where their ranges touch.
void BatchBuilder::gather_searches(const Clicks::Searches& searches, Writer* writer) {
  Elements& ids = writer->next_input();
  Elements& offsets = writer->next_input();
  const int64_t samples = static_cast<int64_t>(targets_.size());
  int32_t* const start = writer->next_input(samples).ids();
  int32_t* const end = writer->next_input(samples).ids();
  query_spans_.clear();
  int32_t queries = 0;
  for (size_t s = 0; s < targets_.size(); ++s) {
    const Target& target = targets_[s];
    const int32_t first = searches.query_offsets[target.user];
    const bool is_next = target.click == clicks_.offsets[target.user + 1];  // after all searches
    const int32_t to =
        searches.before && !is_next ? first + searches.before[target.click] : searches.query_offsets[target.user + 1];
    const int32_t from = std::max(first, to - kSearchWindow);
    const bool continues = s > 0 && targets_[s - 1].user == target.user && from >= query_spans_.back().from &&
                           from <= query_spans_.back().to;
    if (!continues) query_spans_.push_back({from, from, queries});
    QuerySpan& span = query_spans_.back();
    if (to > span.to) {
      queries += to - span.to;
      span.to = to;
    }
    start[s] = span.place + from - span.from;
    end[s] = span.place + to - span.from;
  }
  offsets.resize(queries + 1);
  int32_t* offset = offsets.ids();
  *offset++ = 0;
  for (const QuerySpan& span : query_spans_) {
    const int32_t shift = offset[-1] - searches.offsets[span.from];
    for (int32_t query = span.from; query < span.to; ++query) *offset++ = searches.offsets[query + 1] + shift;
  }
  ids.resize(offset[-1]);
  int32_t* to = ids.ids();
  for (const QuerySpan& span : query_spans_) {
    to = std::copy(searches.ids + searches.offsets[span.from], searches.ids + searches.offsets[span.to], to);
  }
  writer->write_dim(ids.size());
  writer->write_dim(queries);
}

// The numbers of each user in a row, standardised; 0 where missing.
void BatchBuilder::gather_numbers(float* to) const {
  const size_t columns = clicks_.numbers.size();
  for (size_t column = 0; column < columns; ++column) {
    const Clicks::Number& number = clicks_.numbers[column];
    const double scale = number.scale();
    for (size_t u = 0; u < users_.size(); ++u) to[u * columns + column] = number.standardised(users_[u], scale);
  }
}

// The number of the click at each position, standardised; 0 where missing.
void BatchBuilder::gather_click_number(const Clicks::Number& number, float* to) const {
  const double scale = number.scale();
  for (const Span& span : spans_) {
    for (int32_t i = 0; i < span.count; ++i) *to++ = span.click < 0 ? 0.0f : number.standardised(span.click + i, scale);
  }
}

// The age x of each target as x, x², √x.
void BatchBuilder::gather_ages(float* ages) const {
  const Clicks::Times& times = clicks_.times;
  const double span = times.latest - times.earliest;
  for (const Target& target : targets_) {
    const double time = times.values[target.click];
    const bool is_known = time >= times.earliest && time <= times.latest;
    const double age = !is_known ? 1 : span > 0 && span < HUGE_VAL ? (times.latest - time) / span : 0;
    *ages++ = static_cast<float>(age);
    *ages++ = static_cast<float>(age * age);
    *ages++ = static_cast<float>(std::sqrt(age));
  }
}

// The id at each position of a feature with one value a click.
void BatchBuilder::gather_single(const Clicks::ItemFeature& feature, int32_t* to) const {
  for (const Span& span : spans_) {
    if (span.click < 0) {
      *to++ = 0;
      continue;
    }
    std::memcpy(to, feature.ids + span.click, static_cast<size_t>(span.count * kBytesPerElement));
    to += span.count;
  }
}

// Where the values of each position begin. Returns their number.
int64_t BatchBuilder::gather_offsets(const Clicks::ItemFeature& feature, int32_t* offset) const {
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
  return end;
}

// The values of all positions of a multi-valued feature.
void BatchBuilder::gather_values(const Clicks::ItemFeature& feature, int32_t* to) const {
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

// The distinct items of the positions in the order in which they first appear, and which of them each timestep reads.
// Returns their number.
int64_t BatchBuilder::gather_distinct(const int32_t* items, Elements* distinct, Elements* timestep_item) {
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

}  // namespace shortlist
