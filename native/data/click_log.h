#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "native/data/schema.h"

namespace shortlist {

// The grammar of click logs, as src/data/sources/click_log.ts has it: the same rows of the same lines, the same
// refusals and the same messages (test/data/readers.test.ts).

const char kClickEnd = ';';        // between clicks
const char kValueSeparator = '_';  // of the values of a multi-valued field or column
const char kQueryEnd = ';';        // between the queries of a column of searches

// Calls part(text, index) for each part of `text` between separators; at least once.
template <class Part>
void for_each_part(std::string_view text, char separator, const Part& part) {
  size_t begin = 0, index = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string_view::npos; begin = end + 1) {
    part(text.substr(begin, end - begin), index++);
  }
  part(text.substr(begin), index);
}

// Escape sequences: a backslash and one of \ : ; _ stand for the second character, and \t stands for a tab. While a
// text is divided, a byte that UTF-8 does not have stands for each sequence and separates nothing.

// Returns the text, which is UTF-8, with one byte for each sequence, in `memory`.
std::string_view hide_escaped(std::string_view text, std::vector<char>* memory);
// Replaces the bytes of `hide_escaped` by the characters that they stand for.
void show_escaped(std::vector<char>* text);

// A user as a line of a click log says. Texts point into the line or into `escaped`; the empty one is a missing value.
// The memory of a row is used again for the next line.
struct LogRow {
  // What all clicks say of one feature of the item, oldest click first.
  struct Values {
    std::vector<std::string_view> tokens;  // [clicks], or [values] of a multi-valued feature
    std::vector<int32_t> offsets;          // [clicks + 1] where the values of each click begin; else empty
  };

  std::string_view user_id;              // of the column "user_id", of whatever kind; empty where there is none
  std::vector<std::string_view> tokens;  // of the categorical columns with one value
  std::vector<float> numbers;            // of the number columns, NaN where missing
  std::vector<std::vector<std::string_view>> lists;     // of the categorical columns with several values
  std::vector<std::vector<std::string_view>> searches;  // of the columns of searches: the queries, oldest first
  int64_t clicks = 0;
  std::vector<Values> values;                     // of the item features
  std::vector<double> times;                      // [clicks], NaN where missing; empty where the schema has no time
  std::vector<float> weights;                     // [clicks], NaN where missing; empty where the schema has no weight
  std::vector<std::vector<float>> click_numbers;  // [clicks] of each field of numbers, NaN where missing

  // Memory of the parser.
  std::vector<uint32_t> separators;
  std::vector<char> escaped;  // a line with escape sequences, into which texts point then; else empty
};

// The text of a line, given without its "\n": without "\r" at its end and a byte order mark at its start. Throws
// Error(Status::input) where it has more than `max_bytes` bytes.
std::string_view line_text(std::string_view line, int64_t max_bytes);

// Whether `text` is a number of a log, written to `number`: a decimal number, or a missing value, which is NaN. It may
// be infinite.
bool parse_number(std::string_view text, const MissingWords& missing, double* number);

// Whether `text` is the weight of a click, written to `weight`: a number of at least 0 that float32 can hold, or a
// missing value, which is NaN.
bool parse_weight(std::string_view text, const MissingWords& missing, float* weight);

// Whether `text` is a number that float32 can hold, written to `number`, or a missing value, which is NaN.
bool parse_float(std::string_view text, const MissingWords& missing, float* number);

// Turns the text of a line into a row. Any number of threads may use it at once.
class LineParser {
 public:
  // `without_clicks`: whether a user whose column of clicks is missing has an empty history. Otherwise such a line is
  // refused.
  LineParser(Schema schema, bool without_clicks);

  // Throws Error(Status::input), which names the field.
  void parse(std::string_view text, LogRow* row) const;

  // `parse` in steps, for whoever need not parse all clicks. Where row->escaped is not empty after the first, texts
  // still have the bytes of hide_escaped.

  // Parses everything but the clicks, and returns their text, which is empty if the user has none. Throws as `parse`.
  std::string_view parse_user(std::string_view text, LogRow* row) const;
  // Adds clicks to the row. Returns where the first one begins that cannot be used: `parse` throws the reason; npos if
  // there is none.
  size_t parse_clicks(std::string_view text, LogRow* row) const;
  // Whether all fields about the item come before the others.
  bool has_item_parts() const { return has_item_parts_; }
  // Where that is so, the part of a click that is about the item. Empty if the click lacks fields.
  std::string_view item_part(std::string_view click) const;
  // Adds the rest of a click, of which `text` begins after its item part, to the row. Returns false if it cannot be
  // used.
  bool parse_rest(std::string_view text, LogRow* row) const;

 private:
  void parse_column(size_t column, std::string_view text, LogRow* row) const;
  bool parse_value(size_t field, std::string_view text, bool is_last, LogRow* row) const;
  bool parse_property(size_t field, std::string_view text, LogRow* row) const;

  std::string_view token(std::string_view text) const {
    return schema_.missing.contains(text) ? std::string_view() : text;
  }

  [[noreturn]] void fail(size_t column, const std::string& expected, const std::string& received) const;
  [[noreturn]] void fail_click(std::string_view clicks, int64_t index) const;
  void check_property(size_t field, std::string_view text, const std::string& place) const;
  void check_bytes(std::string_view text) const;

  // What becomes of a field of a click.
  struct Field {
    ClickField::Kind kind;
    bool multiple;
    size_t place;  // of an item feature among them, or of a number
  };

  Schema schema_;
  bool without_clicks_;
  size_t user_id_, clicks_;  // columns; the number of columns where there is no user_id
  std::vector<Field> fields_;
  size_t features_ = 0, click_numbers_ = 0;
  bool has_item_parts_ = true;
  size_t rest_ = 0;  // the first field after those about the item
  std::string click_form_;
};

}  // namespace shortlist
