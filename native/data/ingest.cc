#include "native/data/ingest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "native/core/error.h"
#include "native/data/click_cache.h"
#include "native/data/parallel.h"
#include "native/data/token_cache.h"

namespace shortlist {
namespace {

// Bytes of lines that a thread parses at once: few enough that all threads finish at about the same time, and that what
// was parsed of them is still in the cache when it is copied.
const size_t kSegmentBytes = 256 * 1024;
// Bytes of a line that are not counted: a byte order mark and the \r of \r\n.
const int64_t kUncountedBytes = 4;
// What stands for a missing value among the numbers of tokens.
const int32_t kMissing = -1;

// Entries of a cache of tokens at most, and for all threads together.
const size_t kMostEntries = size_t{1} << 19, kMostInAll = size_t{1} << 23;
// Nearly all lines have a user of their own.
const size_t kCachedUsers = 1;

// Entries of a cache of clicks, and at most for all threads together.
const size_t kMostClicks = size_t{1} << 15, kMostClicksInAll = size_t{1} << 20;

// Returns `most`, a power of two, or as much less as keeps `threads` of them within `in_all`.
size_t entries_for(int threads, size_t most, size_t in_all) {
  while (most > 1 && most * static_cast<size_t>(threads) > in_all) most /= 2;
  return most;
}

int64_t size_of(size_t size) { return static_cast<int64_t>(size); }

}  // namespace

// What was parsed of consecutive lines.
struct Ingest::Segment {
  int64_t lines = 0, rows_without_clicks = 0, clicks = 0, skipped = 0;
  bool ends_empty = false;                         // the last line is empty, and none of the log if no other follows
  std::vector<BadLine> bad_lines;                  // lines from 1 in this segment
  Order order;                                     // likewise
  std::vector<int32_t> row_clicks;                 // [rows]
  std::vector<std::vector<int32_t>> tokens;        // of each feature
  std::vector<std::vector<int32_t>> value_counts;  // [clicks] of each item feature; empty unless it is multi-valued
  std::vector<std::vector<float>> numbers;         // [rows] of each column
  std::vector<double> times;                       // [clicks]
  std::vector<float> weights;                      // [clicks]
  std::vector<std::vector<float>> click_numbers;   // [clicks] of each field
  std::vector<int64_t> missing;                    // of each feature

  void clear() {
    lines = rows_without_clicks = clicks = skipped = 0;
    ends_empty = false;
    bad_lines.clear();
    order = Order();
    row_clicks.clear();
    for (auto* const columns : {&tokens, &value_counts}) {
      for (std::vector<int32_t>& column : *columns) column.clear();
    }
    for (auto* const columns : {&numbers, &click_numbers}) {
      for (std::vector<float>& column : *columns) column.clear();
    }
    times.clear();
    weights.clear();
  }
};

// What a thread works with. Its memory is used again for each segment.
struct Ingest::Worker {
  // A click of the line that is read.
  struct Click {
    HashedToken item;  // its part about the item
    std::string_view text;
    const int32_t* numbers;     // as ClickCache has them; nullptr if they are not known
    size_t begin = 0, end = 0;  // of its numbers in `parsed`, if it was not known
  };

  std::vector<TokenCache> caches;  // of the features
  ClickCache known_clicks;
  LogRow row;
  Segment segment;
  std::vector<HashedToken> hashed;
  std::vector<Click> clicks;
  std::vector<std::vector<int32_t>> numbers;  // of each item feature, of the clicks that were parsed
  std::vector<int32_t> parsed;                // the same, click by click

  explicit Worker(size_t clicks) : known_clicks(clicks) {}

  // Appends the numbers of tokens of a feature.
  void number_tokens(size_t feature, const std::string_view* tokens, size_t count, std::vector<int32_t>* numbers) {
    TokenCache& cache = caches[feature];
    hashed.clear();
    for (size_t i = 0; i < count; ++i) {
      hashed.emplace_back(tokens[i]);
      cache.prefetch(hashed.back().hash);
    }
    const size_t start = numbers->size();
    numbers->resize(start + count);
    for (size_t i = 0; i < count; ++i)
      (*numbers)[start + i] = tokens[i].empty() ? kMissing : cache.number_of(hashed[i]);
    cache.adapt(count);
  }

  void add_token(size_t feature, std::string_view token) {
    number_tokens(feature, &token, 1, &segment.tokens[feature]);
  }

  // Adds the clicks of the row, in which all clicks of the line were parsed. `first` is the first item feature.
  void add_parsed_clicks(size_t first) {
    for (size_t f = 0; f < row.values.size(); ++f) {
      const LogRow::Values& values = row.values[f];
      number_tokens(first + f, values.tokens.data(), values.tokens.size(), &segment.tokens[first + f]);
      for (size_t i = 1; i < values.offsets.size(); ++i)
        segment.value_counts[f].push_back(values.offsets[i] - values.offsets[i - 1]);
    }
  }

  // Looks the clicks of a line up, and parses those that are not known, and of the others what is not about the item.
  // Returns false if a click cannot be used, or if the line has escape sequences, since its text changes later.
  bool find_clicks(const LineParser& parser, std::string_view text) {
    if (!row.escaped.empty()) return false;
    clicks.clear();
    if (text.empty()) return true;
    for_each_part(text, kClickEnd, [&](std::string_view click, size_t) {
      clicks.push_back({HashedToken(parser.item_part(click)), click, nullptr});
      known_clicks.prefetch(clicks.back().item.hash);
    });
    for (Click& click : clicks) {
      click.numbers = known_clicks.find(click.item);
      const bool fits = click.numbers ? parser.parse_rest(click.text.substr(click.item.text.size()), &row)
                                      : parser.parse_clicks(click.text, &row) == std::string_view::npos;
      if (!fits) return false;
    }
    row.clicks = static_cast<int64_t>(clicks.size());
    return true;
  }

  // Adds the clicks that were looked up.
  void add_found_clicks(size_t first) {
    number_parsed_clicks(first);
    for (size_t f = 0; f < row.values.size(); ++f) {
      std::vector<int32_t>& tokens = segment.tokens[first + f];
      const bool is_multiple = !row.values[f].offsets.empty();
      for (Click& click : clicks) {
        const int32_t count = is_multiple ? *click.numbers++ : 1;
        if (is_multiple) segment.value_counts[f].push_back(count);
        for (int32_t i = 0; i < count; ++i) tokens.push_back(*click.numbers++);
      }
    }
    // Only now, because a click that is kept may take the place of another one of this line.
    for (const Click& click : clicks) {
      if (click.end > click.begin) known_clicks.put(click.item, &parsed[click.begin], click.end - click.begin);
    }
  }

  // Numbers the tokens of one feature after the other, so that many look-ups are under way at once.
  void number_parsed_clicks(size_t first) {
    for (size_t f = 0; f < row.values.size(); ++f) {
      numbers[f].clear();
      number_tokens(first + f, row.values[f].tokens.data(), row.values[f].tokens.size(), &numbers[f]);
    }
    parsed.clear();
    size_t index = 0;
    for (Click& click : clicks) {
      if (click.numbers != nullptr) continue;
      click.begin = parsed.size();
      for (size_t f = 0; f < row.values.size(); ++f) {
        const std::vector<int32_t>& offsets = row.values[f].offsets;
        const size_t begin = offsets.empty() ? index : static_cast<size_t>(offsets[index]);
        const size_t end = offsets.empty() ? index + 1 : static_cast<size_t>(offsets[index + 1]);
        if (!offsets.empty()) parsed.push_back(static_cast<int32_t>(end - begin));
        for (size_t i = begin; i < end; ++i) parsed.push_back(numbers[f][i]);
      }
      click.end = parsed.size();
      ++index;
    }
    for (Click& click : clicks) {
      if (click.numbers == nullptr) click.numbers = parsed.data() + click.begin;
    }
  }

  void add_order(int64_t line) {
    Order& order = segment.order;
    const int64_t before = order.clicks;
    double previous = std::numeric_limits<double>::quiet_NaN();
    for (const double time : row.times) {
      if (std::isnan(time)) continue;
      order.clicks += time < previous;
      order.compared += time != previous && !std::isnan(previous);
      previous = time;
    }
    if (order.clicks > before && order.lines++ == 0) order.first_line = line;
  }
};

Ingest::Ingest(Schema schema, IngestOptions options, int threads)
    : schema_(std::move(schema)),
      options_(options),
      parser_(schema_, options.without_clicks),
      threads_(threads),
      numbers_(schema_.names_of(Column::Kind::number).size()),
      click_numbers_(schema_.click_numbers().size()) {
  const std::vector<std::string> users = schema_.names_of(Column::Kind::categorical);
  user_features_ = users.size();
  for (const ClickField& feature : schema_.item_features()) multiple_.push_back(feature.multiple);
  item_features_ = multiple_.size();
  has_known_clicks_ = item_features_ > 1 && parser_.has_item_parts();
  for (const Column& column : schema_.columns) {
    if (column.name != "user_id") continue;
    has_identities_ = column.kind != Column::Kind::categorical;
    identity_ = has_identities_ ? static_cast<int>(user_features_ + item_features_)
                                : static_cast<int>(std::find(users.begin(), users.end(), column.name) - users.begin());
  }
  for (size_t f = 0; f < user_features_ + item_features_ + has_identities_; ++f)
    tables_.push_back(std::make_unique<TokenTable>());
  values_.resize(features());
  missing_.resize(features());
  const size_t clicks = has_known_clicks_ ? entries_for(threads, kMostClicks, kMostClicksInAll) : 1;
  const size_t cached = entries_for(threads, kMostEntries, kMostInAll);
  for (int i = 0; i < threads; ++i) {
    workers_.push_back(std::make_unique<Worker>(clicks));
    Worker& worker = *workers_.back();
    for (size_t f = 0; f < features(); ++f)
      worker.caches.emplace_back(tables_[f].get(), static_cast<int>(f) == identity_ ? kCachedUsers : cached);
    worker.numbers.resize(item_features_);
    worker.segment.tokens.resize(features());
    worker.segment.value_counts.resize(item_features_);
    worker.segment.numbers.resize(numbers_);
    worker.segment.click_numbers.resize(click_numbers_);
    worker.segment.missing.resize(features());
  }
}

Ingest::~Ingest() = default;

// ---- lines ----------------------------------------------------------------------------------------------------------

void Ingest::begin_log() {
  logs_.emplace_back();
  carried_.clear();
  too_long_ = false;
  lines_ = empty_line_ = 0;
}

void Ingest::add(std::string_view bytes) {
  if (stopped_) return;
  const size_t first = bytes.find('\n'), last = bytes.rfind('\n');
  if (first == std::string_view::npos) return carry(bytes);
  size_t begin = 0;
  if (!carried_.empty() || too_long_) {
    carry(bytes.substr(0, first));
    if (!too_long_) parse_lines(carried_);
    carried_.clear();
    too_long_ = false;
    begin = first + 1;
  }
  parse_lines(bytes.substr(begin, last + 1 - begin));
  carry(bytes.substr(last + 1));
}

void Ingest::end_log() {
  if (!carried_.empty() && !stopped_) parse_lines(carried_);
  carried_ = std::string();
  count_uses();
}

// Counts the uses of the tokens of the segments since the last call. Each thread counts some of the tokens, so that
// none waits for another.
void Ingest::count_uses() {
  for (size_t f = 0; f < features(); ++f) {
    std::vector<uint32_t>& uses = tables_[f]->uses();
    const size_t parts = static_cast<size_t>(threads_.count());
    for_each_in_parallel(&threads_, parts, [&](size_t part) {
      const size_t begin = uses.size() * part / parts, end = uses.size() * (part + 1) / parts;
      uint32_t others = 0;
      for (size_t s = counted_; s < segments_.size(); ++s) {
        for (const int32_t number : segments_[s].tokens[f]) {
          const size_t index = static_cast<uint32_t>(number);
          ++(index >= begin && index < end ? uses[index] : others);  // a branch would often be mispredicted
        }
      }
    });
  }
  counted_ = segments_.size();
}

// Keeps the start of a line. A line that is too long is reported at once, and its bytes are not kept.
void Ingest::carry(std::string_view bytes) {
  if (too_long_) return;
  const int64_t size = size_of(carried_.size() + bytes.size());
  if (size <= options_.max_line_bytes + kUncountedBytes) {
    carried_ += bytes;
    return;
  }
  carried_.clear();
  too_long_ = true;
  Segment segment = parse_segment(bytes.substr(0, 0), workers_[0].get());
  segment.lines = segment.skipped = 1;
  try {
    line_text(std::string(static_cast<size_t>(options_.max_line_bytes) + 1, ' '), options_.max_line_bytes);
  } catch (const Error& error) {
    segment.bad_lines.push_back({0, 1, error.what()});
  }
  append(std::move(segment));
}

// Parses whole lines; the last one may lack its end.
void Ingest::parse_lines(std::string_view lines) {
  std::vector<std::string_view> parts;
  while (!lines.empty()) {
    size_t end = lines.size() <= kSegmentBytes ? std::string_view::npos : lines.find('\n', kSegmentBytes);
    end = end == std::string_view::npos ? lines.size() : end + 1;
    parts.push_back(lines.substr(0, end));
    lines.remove_prefix(end);
  }
  std::vector<Segment> parsed(parts.size());
  for_each_in_parallel(&threads_, parts.size(), [&](size_t i) {
    parsed[i] = parse_segment(parts[i], workers_[static_cast<size_t>(Threads::worker())].get());
  });
  for (Segment& segment : parsed) append(std::move(segment));
}

// Returns a copy of the worker's segment, whose arrays have exactly the memory that they need.
Ingest::Segment Ingest::parse_segment(std::string_view lines, Worker* worker) const {
  Segment& segment = worker->segment;
  LogRow& row = worker->row;
  const bool look_up = has_known_clicks_ && worker->known_clicks.pays();
  segment.clear();
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    ++segment.lines;
    bool known;
    try {
      const std::string_view text = line_text(line, options_.max_line_bytes);
      segment.ends_empty = text.empty() && lines.empty();
      if (segment.ends_empty) break;
      known = look_up && worker->find_clicks(parser_, parser_.parse_user(text, &row));
      if (!known) parser_.parse(text, &row);  // or throws why a click cannot be used
    } catch (const Error& error) {
      ++segment.skipped;
      if (segment.bad_lines.size() < kListedBadLines) segment.bad_lines.push_back({0, segment.lines, error.what()});
      if (options_.stop_at_bad_line) break;
      continue;
    }
    segment.row_clicks.push_back(static_cast<int32_t>(row.clicks));
    segment.clicks += row.clicks;
    segment.rows_without_clicks += row.clicks == 0;
    worker->add_order(segment.lines);
    for (size_t f = 0; f < user_features_; ++f) worker->add_token(f, row.tokens[f]);
    for (size_t n = 0; n < numbers_; ++n) segment.numbers[n].push_back(row.numbers[n]);
    if (known) worker->add_found_clicks(user_features_);
    else worker->add_parsed_clicks(user_features_);
    if (has_identities_) worker->add_token(features() - 1, row.user_id);
    segment.times.insert(segment.times.end(), row.times.begin(), row.times.end());
    for (const float weight : row.weights) segment.weights.push_back(std::isnan(weight) ? 1.0f : weight);
    for (size_t n = 0; n < click_numbers_; ++n) {
      const std::vector<float>& given = row.click_numbers[n];
      segment.click_numbers[n].insert(segment.click_numbers[n].end(), given.begin(), given.end());
    }
  }
  for (size_t f = 0; f < features(); ++f)
    segment.missing[f] = std::count(segment.tokens[f].begin(), segment.tokens[f].end(), kMissing);
  return segment;
}

void Ingest::append(Segment segment) {
  if (stopped_ || segment.lines == 0) return;
  if (empty_line_ > 0) {
    LogRow row;
    try {
      parser_.parse("", &row);
    } catch (const Error& error) {
      ++logs_.back().skipped;
      report(empty_line_, error.what());
    }
    if (stopped_) return;
  }
  for (const BadLine& bad : segment.bad_lines) report(lines_ + bad.line, bad.problem);
  logs_.back().skipped += segment.skipped;
  logs_.back().lines += size_of(segment.row_clicks.size());
  order_.compared += segment.order.compared;
  order_.clicks += segment.order.clicks;
  if (order_.lines == 0 && segment.order.lines > 0) {
    order_.first_log = size_of(logs_.size()) - 1;
    order_.first_line = lines_ + segment.order.first_line;
  }
  order_.lines += segment.order.lines;
  lines_ += segment.lines;
  empty_line_ = segment.ends_empty ? lines_ : 0;
  rows_ += size_of(segment.row_clicks.size());
  clicks_ += segment.clicks;
  rows_without_clicks_ += segment.rows_without_clicks;
  int64_t most = std::max(rows_, clicks_);
  for (size_t f = 0; f < features(); ++f) {
    values_[f] += size_of(segment.tokens[f].size());
    missing_[f] += segment.missing[f];
    most = std::max(most, values_[f]);
  }
  if (most > kMaxElements) {
    throw Error(Status::input, "Expected at most " + std::to_string(kMaxElements) +
                                   " users, clicks, and values of a feature: split the log");
  }
  segment.bad_lines = std::vector<BadLine>();
  if (!segment.row_clicks.empty()) segments_.push_back(std::move(segment));
}

void Ingest::report(int64_t line, const std::string& problem) {
  if (stopped_) return;
  if (bad_lines_.size() < kListedBadLines) bad_lines_.push_back({size_of(logs_.size()) - 1, line, problem});
  stopped_ = options_.stop_at_bad_line;
}

// ---- results --------------------------------------------------------------------------------------------------------

// Calls copy(values, start) for the part of a column that each segment has, on all threads, and frees it. `start` is
// where the part begins in the whole column.
template <class Column, class Copy>
void Ingest::take(const Column& column, const Copy& copy) {
  std::vector<size_t> starts;
  size_t size = 0;
  for (Segment& segment : segments_) {
    starts.push_back(size);
    size += column(segment).size();
  }
  for_each_in_parallel(&threads_, segments_.size(), [&](size_t i) {
    auto& values = column(segments_[i]);
    copy(values, starts[i]);
    values = {};
    values.shrink_to_fit();
  });
}

void Ingest::numbers_of(size_t feature, int32_t* to) const {
  for (const Segment& segment : segments_)
    to = std::copy(segment.tokens[feature].begin(), segment.tokens[feature].end(), to);
}

void Ingest::take_ids(size_t feature, const std::vector<int32_t>& ids, int32_t* to) {
  take([&](Segment& segment) -> std::vector<int32_t>& { return segment.tokens[feature]; },
       [&](const std::vector<int32_t>& numbers, size_t start) {
         for (size_t i = 0; i < numbers.size(); ++i)
           to[start + i] = numbers[i] == kMissing ? 0 : ids[static_cast<size_t>(numbers[i])];
       });
}

void Ingest::take_offsets(size_t feature, int32_t* to) {
  const size_t f = feature - user_features_;
  *to = 0;
  for (Segment& segment : segments_) {
    for (const int32_t count : segment.value_counts[f]) {
      to[1] = to[0] + count;
      ++to;
    }
    segment.value_counts[f] = std::vector<int32_t>();
  }
}

void Ingest::take_click_offsets(int32_t* to) {
  *to = 0;
  for (Segment& segment : segments_) {
    for (const int32_t clicks : segment.row_clicks) {
      to[1] = to[0] + clicks;
      ++to;
    }
    segment.row_clicks = std::vector<int32_t>();
  }
}

void Ingest::take_numbers(size_t number, float* to) {
  take([&](Segment& segment) -> std::vector<float>& { return segment.numbers[number]; },
       [&](const std::vector<float>& values, size_t start) { std::copy(values.begin(), values.end(), to + start); });
}

void Ingest::take_times(double* to) {
  take([&](Segment& segment) -> std::vector<double>& { return segment.times; },
       [&](const std::vector<double>& values, size_t start) { std::copy(values.begin(), values.end(), to + start); });
}

void Ingest::take_click_numbers(size_t number, float* to) {
  take([&](Segment& segment) -> std::vector<float>& { return segment.click_numbers[number]; },
       [&](const std::vector<float>& values, size_t start) { std::copy(values.begin(), values.end(), to + start); });
}

void Ingest::take_weights(float* to) {
  take([&](Segment& segment) -> std::vector<float>& { return segment.weights; },
       [&](const std::vector<float>& values, size_t start) { std::copy(values.begin(), values.end(), to + start); });
}

}  // namespace shortlist
