#include "native/data/ingest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "native/core/error.h"
#include "native/data/parallel.h"

namespace shortlist {
namespace {

// Bytes of lines that a thread parses at once: few enough that all threads finish at about the same time, and that what
// was parsed of them is still in the cache when it is copied.
const size_t kSegmentBytes = 256 * 1024;
// Bytes of a line that are not counted: a byte order mark and the \r of \r\n.
const int64_t kUncountedBytes = 4;
// What stands for a missing value among the numbers of tokens.
const int32_t kMissing = -1;

// Entries of a cache at first, and at most for all threads together.
const size_t kFirstEntries = size_t{1} << 10, kMostEntries = size_t{1} << 19, kMostInAll = size_t{1} << 23;

// The tokens of a feature that a thread has seen last, so that most of them need no look into the table of all threads.
// It grows as long as that finds more of them.
class TokenCache {
 public:
  TokenCache(TokenTable* table, size_t most_entries)
      : table_(table), most_entries_(most_entries), entries_(std::min(kFirstEntries, most_entries)) {}

  void prefetch(uint64_t hash) const {
#if defined(__GNUC__)
    __builtin_prefetch(&entries_[hash & (entries_.size() - 1)], 1);
#endif
  }

  // The number of a token, which is not empty.
  int32_t number_of(const HashedToken& token) {
    Entry& entry = entries_[token.hash & (entries_.size() - 1)];
    if (token.is_short() ? entry.low == token.low && entry.high == token.high : entry.is_long(token))
      return entry.number;
    const TokenTable::Found found = table_->add(token);
    entry = token.is_short() ? Entry{token.low, token.high, found.number} : Entry::of_long(token, found);
    ++replaced_;
    return found.number;
  }

  // Grows if the cache found enough of the last tokens. `looked_up` more of them were looked up.
  void adapt(size_t looked_up) {
    looked_up_ += looked_up;
    if (replaced_ <= entries_.size() / 2 || entries_.size() == most_entries_) return;
    if (kReplacedPerFound * (looked_up_ - replaced_) <= replaced_) return;
    entries_ = std::vector<Entry>(2 * entries_.size());
    looked_up_ = replaced_ = 0;
  }

 private:
  // Of a long token, `low` is the address of its text and `high` has bits of its hash. No short token has the same
  // `high`, because UTF-8 text has no bytes of 255.
  struct Entry {
    uint64_t low = 0;
    uint32_t high = 0;
    int32_t number = 0;

    static uint32_t high_of(const HashedToken& token) { return 0xff000000u | static_cast<uint32_t>(token.hash >> 40); }
    static Entry of_long(const HashedToken& token, const TokenTable::Found& found) {
      return {reinterpret_cast<uintptr_t>(found.text.view().data()), high_of(token), found.number};
    }
    bool is_long(const HashedToken& token) const {
      return high == high_of(token) && TokenText::kept_at(reinterpret_cast<const char*>(low)) == token.text;
    }
  };

  static constexpr size_t kReplacedPerFound = 8;

  TokenTable* table_;
  size_t most_entries_;
  std::vector<Entry> entries_;
  size_t looked_up_ = 0, replaced_ = 0;  // since the cache has grown
};

// Nearly all lines have a user of their own.
const size_t kCachedUsers = 1;

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
    for (std::vector<float>& column : numbers) column.clear();
    times.clear();
    std::fill(missing.begin(), missing.end(), 0);
  }
};

// What a thread works with. Its memory is used again for each segment.
struct Ingest::Worker {
  std::vector<TokenCache> caches;  // of the features
  LogRow row;
  Segment segment;
  std::vector<HashedToken> hashed;

  void add_token(size_t feature, std::string_view token) { add_tokens(feature, &token, 1); }

  void add_tokens(size_t feature, const std::string_view* tokens, size_t count) {
    TokenCache& cache = caches[feature];
    std::vector<int32_t>& numbers = segment.tokens[feature];
    hashed.clear();
    for (size_t i = 0; i < count; ++i) {
      hashed.emplace_back(tokens[i]);
      cache.prefetch(hashed.back().hash);
    }
    const size_t start = numbers.size();
    numbers.resize(start + count);
    for (size_t i = 0; i < count; ++i) {
      const bool is_missing = tokens[i].empty();
      segment.missing[feature] += is_missing;
      numbers[start + i] = is_missing ? kMissing : cache.number_of(hashed[i]);
    }
    cache.adapt(count);
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
      numbers_(schema_.names_of(Column::Kind::number).size()) {
  const std::vector<std::string> users = schema_.names_of(Column::Kind::categorical);
  user_features_ = users.size();
  for (const ClickField& feature : schema_.item_features()) multiple_.push_back(feature.multiple);
  item_features_ = multiple_.size();
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
  size_t cached = kMostEntries;
  while (cached > kFirstEntries && cached * static_cast<size_t>(threads) > kMostInAll) cached /= 2;
  for (int i = 0; i < threads; ++i) {
    workers_.push_back(std::make_unique<Worker>());
    Worker& worker = *workers_.back();
    for (size_t f = 0; f < features(); ++f)
      worker.caches.emplace_back(tables_[f].get(), static_cast<int>(f) == identity_ ? kCachedUsers : cached);
    worker.segment.tokens.resize(features());
    worker.segment.value_counts.resize(item_features_);
    worker.segment.numbers.resize(numbers_);
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
  segment.clear();
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    ++segment.lines;
    try {
      const std::string_view text = line_text(line, options_.max_line_bytes);
      segment.ends_empty = text.empty() && lines.empty();
      if (segment.ends_empty) break;
      parser_.parse(text, &row);
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
    for (size_t f = 0; f < item_features_; ++f) {
      const LogRow::Values& values = row.values[f];
      worker->add_tokens(user_features_ + f, values.tokens.data(), values.tokens.size());
      for (size_t i = 1; i < values.offsets.size(); ++i)
        segment.value_counts[f].push_back(values.offsets[i] - values.offsets[i - 1]);
    }
    if (has_identities_) worker->add_token(features() - 1, row.user_id);
    segment.times.insert(segment.times.end(), row.times.begin(), row.times.end());
  }
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

}  // namespace shortlist
