#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "native/core/executor.h"
#include "native/core/json.h"

namespace shortlist {

struct Vocabulary {
  std::vector<std::string> tokens;  // in id order; 0 is <unk>
  std::unordered_map<std::string, int32_t> ids;

  // 0 for a token that is not held: "", NULL and <unk> are not.
  int32_t id(const std::string& token) const {
    const auto found = ids.find(token);
    return found == ids.end() ? 0 : found->second;
  }
};

struct Column {
  enum class Kind { categorical, number, clicks, ignored };
  std::string name;
  Kind kind;
  double mean = 0, deviation = 0;  // of a number
};

struct ClickField {
  std::string name;
  bool multiple;
  bool is_time;  // of kind "time": read by training alone
};

// A user, as ids: what a run needs.
struct User {
  std::vector<int32_t> tokens;                         // one for each column, categorical ones only
  std::vector<float> numbers;                          // one for each column, standardised, 0 where missing
  std::vector<std::vector<std::vector<int32_t>>> clicks;  // click, field, values (none of a time); oldest first
};

struct Recommendation {
  int32_t item;
  float score;
  double probability;
};

// A model folder, opened: src/model/model.ts says what is in it, src/data/batches.ts what a run is given.
class Model {
 public:
  // Throws Error(Status::file or Status::model) with the file's path, and Error(Status::option).
  Model(const std::string& folder, int threads);

  User new_user() const;
  void set(User& user, const std::string& feature, const std::string& token) const;
  void add_click(User& user, const std::vector<std::string>& tokens) const;
  User parse_line(const std::string& line) const;

  std::vector<float> user_vector(const User& user);
  std::vector<Recommendation> recommend(const User& user, int64_t top, bool keep_watched);

  const std::string& item_token(int32_t id) const { return items().tokens[id]; }
  int64_t item_count() const { return static_cast<int64_t>(items().tokens.size()) - 1; }
  const std::vector<std::string>& user_features() const { return user_features_; }
  const std::vector<ClickField>& click() const { return click_; }
  int64_t vector_width() const { return vector_width_; }
  const char* isa() const { return engine_->isa(); }

 private:
  bool is_missing(const std::string& token) const { return missing_.count(token) != 0; }
  // 0 for a missing value.
  int32_t id_of(const std::string& feature, const std::string& token) const;
  void check_time(const std::string& name, const std::string& token) const;
  const Vocabulary& items() const { return vocabularies_.at(click_[0].name); }
  void read_config(const std::string& text);
  void read_vocabulary(const std::string& path, const std::string& name);
  void read_weights(const std::string& path, const Program& program);
  void check_inputs(const Executor& executor) const;
  void set_column(User& user, size_t column, const std::string& token) const;
  size_t history_start(const User& user) const;
  void execute(Executor& executor, const User& user, int64_t top, bool keep_watched);

  int64_t window_ = 0, vector_width_ = 0;
  bool growing_ = false;  // windows
  std::vector<Column> columns_;
  std::vector<std::string> user_features_;
  std::vector<ClickField> click_;
  std::set<std::string> missing_;  // every text that stands for a missing value
  std::unordered_map<std::string, Vocabulary> vocabularies_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Store> store_;
  std::unique_ptr<Executor> vector_, shortlist_;
};

}  // namespace shortlist
