#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "native/core/threads.h"
#include "native/data/click_log.h"
#include "native/data/token_table.h"

namespace shortlist {

struct IngestOptions {
  bool without_clicks = false;   // whether a line without clicks is a user with an empty history
  bool stop_at_bad_line = true;  // otherwise such lines are left out and counted
  int64_t max_line_bytes = 0;
};

// Reads click logs in one pass on all threads: parses lines, numbers and counts tokens, and keeps the users and clicks
// as numbers of tokens. When all logs were read, vocabularies are made from the counts, and numbers become ids. What
// comes out is what src/data/sources/read_log.ts, dataset.ts and clicks.ts make of the same bytes, for any number of
// threads and however the bytes are divided among the calls of `add`.
class Ingest {
 public:
  struct BadLine {
    int64_t log, line;  // the line from 1
    std::string problem;
  };

  // How many clicks are older than the one before them; src/data/times.ts, ClickOrder.
  struct Order {
    int64_t compared = 0, lines = 0, clicks = 0;
    int64_t first_log = 0, first_line = 0;  // where the first such click is
  };

  struct Counts {
    int64_t lines = 0, skipped = 0;
  };

  static constexpr int64_t kMaxElements = 2147483647;
  static constexpr size_t kListedBadLines = 20;

  Ingest(Schema schema, IngestOptions options, int threads);
  ~Ingest();

  void begin_log();
  // The next bytes of the log. Throws Error(Status::input) if there are more clicks or values than arrays can have.
  void add(std::string_view bytes);
  void end_log();

  // Whether a bad line has ended the reading; it is the last of bad_lines().
  bool stopped() const { return stopped_; }
  const std::vector<Counts>& logs() const { return logs_; }
  // The first of them, in the order of the logs.
  const std::vector<BadLine>& bad_lines() const { return bad_lines_; }
  const Order& order() const { return order_; }
  int64_t rows() const { return rows_; }
  int64_t clicks() const { return clicks_; }
  int64_t rows_without_clicks() const { return rows_without_clicks_; }

  // What follows is there when all logs were read. Each column can be taken once, which frees it here.

  // Features with tokens: the categorical user features, then the item features, in the order of the schema. After them
  // comes the identity of users if the column `user_id` is not categorical.
  size_t features() const { return tables_.size(); }
  size_t number_columns() const { return numbers_; }
  bool has_times() const { return schema_.time_field() >= 0; }
  size_t click_number_fields() const { return click_numbers_; }
  bool has_weights() const { return schema_.weight_field() >= 0; }
  // The index of the feature that identifies users; −1 if there is none.
  int identity() const { return identity_; }
  // Whether a click has several values of a feature.
  bool is_multiple(size_t feature) const {
    return feature >= user_features_ && feature < user_features_ + item_features_ &&
           multiple_[feature - user_features_];
  }
  const TokenTable& table(size_t feature) const { return *tables_[feature]; }
  // Number of values of a feature, and of those that are missing.
  int64_t values(size_t feature) const { return values_[feature]; }
  int64_t missing(size_t feature) const { return missing_[feature]; }
  // Makes the vocabulary of a feature. Its ids are what take_ids then returns.
  TokenTable::Vocabulary vocabulary(size_t feature, int64_t limit) {
    return tables_[feature]->vocabulary(limit, missing_[feature], &threads_);
  }
  // [values(feature)] The numbers of the tokens; −1 where missing.
  void numbers_of(size_t feature, int32_t* to) const;
  // [values(feature)] The ids of the tokens: `ids` by their numbers, 0 where missing.
  void take_ids(size_t feature, const std::vector<int32_t>& ids, int32_t* to);
  // [clicks() + 1] Where the values of each click begin, of a multi-valued item feature.
  void take_offsets(size_t feature, int32_t* to);
  // [rows() + 1]
  void take_click_offsets(int32_t* to);
  // [rows()] Of the column `number` among those of kind number.
  void take_numbers(size_t number, float* to);
  // [clicks()]
  void take_times(double* to);
  // [clicks()] 1 where missing.
  void take_weights(float* to);
  // [clicks()] Of the field `number` among those of numbers of a click; NaN where missing.
  void take_click_numbers(size_t number, float* to);

 private:
  struct Segment;
  struct Worker;

  void carry(std::string_view bytes);
  void parse_lines(std::string_view lines);
  Segment parse_segment(std::string_view lines, Worker* worker) const;
  void append(Segment segment);
  void count_uses();
  void report(int64_t line, const std::string& problem);
  template <class Column, class Copy>
  void take(const Column& column, const Copy& copy);

  Schema schema_;
  IngestOptions options_;
  LineParser parser_;
  Threads threads_;
  size_t user_features_, item_features_, numbers_, click_numbers_;
  bool has_identities_ = false;
  bool has_known_clicks_ = false;  // whether looking up clicks may be less work than parsing them
  int identity_ = -1;
  std::vector<bool> multiple_;  // of the item features
  std::vector<std::unique_ptr<TokenTable>> tables_;
  std::vector<std::unique_ptr<Worker>> workers_;  // one for each thread

  std::string carried_;     // the start of a line that did not end yet
  bool too_long_ = false;   // whether that line was already reported as too long
  int64_t lines_ = 0;       // of this log, complete
  int64_t empty_line_ = 0;  // an empty line that is one only if another line follows

  std::vector<Segment> segments_;
  size_t counted_ = 0;  // segments whose tokens are counted
  std::vector<Counts> logs_;
  std::vector<BadLine> bad_lines_;
  bool stopped_ = false;
  Order order_;
  int64_t rows_ = 0, clicks_ = 0, rows_without_clicks_ = 0;
  std::vector<int64_t> values_, missing_;
};

}  // namespace shortlist
