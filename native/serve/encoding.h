#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "native/data/click_log.h"
#include "native/data/vocabulary.h"
#include "native/serve/config.h"

namespace shortlist {

// A user as ids and numbers: what batches are made of.
struct User {
  // What the clicks say of one feature of the item, oldest click first.
  struct Values {
    std::vector<int32_t> ids;      // [clicks], or [values] of a multi-valued feature
    std::vector<int32_t> offsets;  // [clicks + 1] where the values of each click begin; empty for one value a click
  };

  // Past searches, oldest first, as ids of the tokens that the vocabulary holds.
  struct Searches {
    std::vector<int32_t> ids;
    std::vector<int32_t> offsets = {0};  // [queries + 1] where the tokens of each query begin
  };

  std::vector<int32_t> tokens;              // of the categorical columns with one value
  std::vector<float> numbers;               // of the number columns, as a log has them; NaN where missing
  std::vector<std::vector<int32_t>> lists;  // of the categorical columns with several values
  std::vector<Searches> searches;           // of the columns of searches
  int64_t clicks = 0;
  std::vector<Values> values;                     // of the item features
  std::vector<std::vector<float>> click_numbers;  // [clicks] of each number of a click; NaN where missing
};

// Throws Error(Status::input), which names the field, unless a text that is given by itself is UTF-8 without NUL bytes.
void check_text(const std::string& name, std::string_view text);

// All that turns the text of a click log into ids; src/data/clicks.ts. What is wrong with a text is
// Error(Status::input).
class Encoding {
 public:
  // One vocabulary for each name of `vocabulary_names`, in their order.
  Encoding(Config config, std::vector<Vocabulary> vocabularies);

  const Config& config() const { return config_; }
  // Names of the features that have a vocabulary.
  static std::vector<std::string> vocabulary_names(const Schema& schema);

  const std::vector<std::string>& categorical() const { return categorical_; }  // names of columns with one value
  const std::vector<std::string>& numbers() const { return numbers_; }          // names of columns
  const std::vector<std::string>& lists() const { return lists_; }              // names of columns
  const std::vector<std::string>& searches() const { return searches_; }        // names of columns
  const std::vector<ClickField>& item_features() const { return item_features_; }
  const std::vector<std::string>& click_numbers() const { return click_numbers_; }  // names of fields of a click
  const Vocabulary& items() const { return vocabulary_of(0); }

  // The vocabulary of a feature; nullptr where it has none.
  const Vocabulary* vocabulary(const std::string& feature) const;

  // A user of whom nothing is known.
  User new_user() const;
  // Sets a feature of the user by the name of its column: a number as text, several values separated by "_", and
  // queries by ";". Of several values and queries, each is escaped as in a log.
  void set(User* user, const std::string& feature, const std::string& token) const;
  // Adds the newest click: a text for each field of a click, the values of a multi-valued one separated by "_" and
  // escaped as in a log.
  void add_click(User* user, const std::vector<std::string>& fields) const;
  // The same of the ids of each item feature's values: one id for a feature with one value a click. Without numbers,
  // those of the click are missing.
  void add_click(User* user, const std::vector<std::vector<int32_t>>& ids,
                 const std::vector<float>& numbers = {}) const;
  // The user that a line of a click log describes. Its "\n" may be there; its clicks may be missing.
  User parse_line(std::string_view line) const;

 private:
  const Vocabulary& vocabulary_of(size_t item_feature) const {
    return vocabularies_[vocabularies_.size() - item_features_.size() + item_feature];
  }
  const Vocabulary& vocabulary_of_list(size_t list) const { return vocabularies_[categorical_.size() + list]; }
  const Vocabulary& vocabulary_of_searches(size_t column) const {
    return vocabularies_[categorical_.size() + lists_.size() + column];
  }
  float parse_property(const ClickField& field, const std::string& text) const;
  template <class Value>
  void for_each_value(std::string_view text, char separator, const Value& value) const;
  void add_query(size_t column, std::string_view query, User::Searches* searches) const;

  Config config_;
  std::vector<std::string> categorical_, numbers_, lists_, searches_;  // names of columns
  std::vector<std::string> names_;                                     // of the vocabularies
  std::vector<ClickField> item_features_;
  std::vector<std::string> click_numbers_;
  std::vector<Vocabulary> vocabularies_;
  LineParser parser_;
};

}  // namespace shortlist
