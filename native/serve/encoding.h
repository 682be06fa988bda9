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

  std::vector<int32_t> tokens;  // of the categorical columns
  std::vector<float> numbers;   // of the number columns, as a log has them; NaN where missing
  int64_t clicks = 0;
  std::vector<Values> values;  // of the item features
};

// Throws Error(Status::input), which names the field, unless a text that is given by itself is UTF-8 without NUL bytes.
void check_text(const std::string& name, std::string_view text);

// All that turns the text of a click log into ids; src/data/clicks.ts. What is wrong with a text is
// Error(Status::input).
class Encoding {
 public:
  // One vocabulary for each categorical column, then for each item feature.
  Encoding(Config config, std::vector<Vocabulary> vocabularies);

  const Config& config() const { return config_; }
  const std::vector<std::string>& categorical() const { return categorical_; }  // names of columns
  const std::vector<std::string>& numbers() const { return numbers_; }          // names of columns
  const std::vector<ClickField>& item_features() const { return item_features_; }
  const Vocabulary& items() const { return vocabularies_[categorical_.size()]; }

  // The vocabulary of a feature; nullptr where it has none.
  const Vocabulary* vocabulary(const std::string& feature) const;

  // A user of whom nothing is known.
  User new_user() const;
  // Sets a feature of the user by the name of its column; a number as text.
  void set(User* user, const std::string& feature, const std::string& token) const;
  // Adds the newest click: a text for each field of a click, the values of a multi-valued one separated by "_".
  void add_click(User* user, const std::vector<std::string>& fields) const;
  // The same of the ids of each item feature's values: one id for a feature with one value a click.
  void add_click(User* user, const std::vector<std::vector<int32_t>>& ids) const;
  // The user that a line of a click log describes. Its "\n" may be there; its clicks may be missing.
  User parse_line(std::string_view line) const;

 private:
  const Vocabulary& vocabulary_of(size_t item_feature) const {
    return vocabularies_[categorical_.size() + item_feature];
  }

  Config config_;
  std::vector<std::string> categorical_, numbers_;  // names of columns
  std::vector<ClickField> item_features_;
  std::vector<Vocabulary> vocabularies_;
  LineParser parser_;
};

}  // namespace shortlist
