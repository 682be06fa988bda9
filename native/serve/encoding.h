#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "native/data/vocabulary.h"
#include "native/serve/config.h"

namespace shortlist {

// A user, as ids: what a run needs.
struct User {
  std::vector<int32_t> tokens;                            // one for each column, categorical ones only
  std::vector<float> numbers;                             // one for each column, standardised, 0 where missing
  std::vector<std::vector<std::vector<int32_t>>> clicks;  // click, field, values (none of a time); oldest first
};

// All that turns the text of a click log into numbers; src/data/clicks.ts, src/data/sources/click_log.ts. What is wrong
// with a text is Error(Status::input).
struct Encoding {
  Config config;
  std::unordered_map<std::string, Vocabulary> vocabularies;  // of every categorical column and click field, by name

  User new_user() const;
  void set(User& user, const std::string& feature, const std::string& token) const;
  void add_click(User& user, const std::vector<std::string>& tokens) const;
  User parse_line(const std::string& line) const;

 private:
  bool is_missing(const std::string& token) const { return config.missing.count(token) != 0; }
  // 0 for a missing value.
  int32_t id_of(const std::string& feature, const std::string& token) const;
  void check_time(const std::string& name, const std::string& token) const;
  void set_column(User& user, size_t column, const std::string& token) const;
};

}  // namespace shortlist
