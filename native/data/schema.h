#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "native/core/json.h"

namespace shortlist {

// One tab-separated column of a click log.
struct Column {
  enum class Kind { categorical, number, tokens, clicks, ignored };
  std::string name;
  Kind kind;
  bool multiple = false;  // a user has several values, separated by "_"; only of categorical columns
};

// A field of a click: a feature of the item, or a property of the click itself.
struct ClickField {
  enum class Kind { item_feature, time, weight, number, ignored };
  std::string name;
  bool multiple = false;  // a click has several values, separated by "_"; only of item features
  Kind kind = Kind::item_feature;
};

// Every text that stands for a missing value. The empty text and "<unk>" always do.
class MissingWords {
 public:
  MissingWords() : MissingWords(std::vector<std::string>()) {}
  // `words` are those of the schema.
  explicit MissingWords(const std::vector<std::string>& words);

  // Most tokens are told from the words by their first byte and length, so that nothing is searched for.
  bool contains(std::string_view text) const {
    if (text.empty()) return true;
    const size_t length = text.size() < kLongest ? text.size() : kLongest;
    return (lengths_[static_cast<unsigned char>(text[0])] >> length & 1) && words_.count(text) != 0;
  }

 private:
  static constexpr size_t kLongest = 31;  // also stands for all longer words

  std::set<std::string, std::less<>> words_;
  std::array<uint32_t, 256> lengths_ = {};  // by the first byte of words: a bit for each of their lengths
};

// The form of a click log: its columns, and what each click of the column of clicks holds; src/data/schema.ts.
struct Schema {
  std::vector<Column> columns;    // exactly one is of kind `clicks`
  std::vector<ClickField> click;  // the item first; at most one is a time, and one a weight
  MissingWords missing;
  bool escapes = false;  // whether lines have escape sequences

  // The schema of a stored dataset or model, whose list of missing words may be left out, as may be `escapes`. Throws
  // Error(Status::model).
  static Schema parse(const Json& json);

  // The names of the columns of a kind, in order; of categorical ones, those with several values or those with one.
  std::vector<std::string> names_of(Column::Kind kind, bool multiple = false) const;
  // The fields of a click that describe the item, in order, the item first.
  std::vector<ClickField> item_features() const;
  // The names of the fields that are numbers of a click, in order.
  std::vector<std::string> click_numbers() const;
  // The index of the field of a click that is its time or its weight; −1 if there is none.
  int time_field() const { return field_of(ClickField::Kind::time); }
  int weight_field() const { return field_of(ClickField::Kind::weight); }

 private:
  int field_of(ClickField::Kind kind) const;
};

}  // namespace shortlist
