#include "native/data/click_log.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "native/core/error.h"
#include "native/core/text.h"

namespace shortlist {
namespace {

const char kTab = '\t', kClickEnd = ';', kFieldEnd = ':';
const std::string_view kByteOrderMark = "\xef\xbb\xbf", kGzip = "\x1f\x8b", kZstd = "\x28\xb5\x2f\xfd";

bool starts_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

size_t count_parts(std::string_view text, char separator) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), separator)) + 1;
}

}  // namespace

std::string_view line_text(std::string_view line, int64_t max_bytes) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (starts_with(line, kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  if (static_cast<int64_t>(line.size()) > max_bytes) {
    throw Error(Status::input, "Expected at most " + std::to_string(max_bytes) +
                                   " bytes in a line (--max-line-bytes) but received more");
  }
  return line;
}

bool parse_number(std::string_view text, const MissingWords& missing, double* number) {
  if (missing.contains(text)) {
    *number = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  if (!is_decimal(text)) return false;
  *number = parse_decimal(text);
  return true;
}

LineParser::LineParser(Schema schema, bool without_clicks)
    : schema_(std::move(schema)), without_clicks_(without_clicks) {
  user_id_ = clicks_ = schema_.columns.size();
  for (size_t column = 0; column < schema_.columns.size(); ++column) {
    if (schema_.columns[column].name == "user_id") user_id_ = column;
    if (schema_.columns[column].kind == Column::Kind::clicks) clicks_ = column;
  }
  for (const ClickField& field : schema_.click) {
    fields_.push_back({field.is_time, field.multiple, features_});
    features_ += !field.is_time;
    click_form_ += (click_form_.empty() ? "" : ":") + field.name;
  }
}

void LineParser::parse(std::string_view text, LogRow* row) const {
  if (text.empty()) {
    throw Error(Status::input,
                "Expected " + std::to_string(schema_.columns.size()) + " fields but received an empty line");
  }
  check_bytes(text);
  const size_t expected = schema_.columns.size(), received = count_parts(text, kTab);
  if (received != expected) {
    fail(std::min(received, expected), std::to_string(expected) + " fields separated by tabs",
         std::to_string(received));
  }
  row->user_id = {};
  row->tokens.clear();
  row->numbers.clear();
  row->times.clear();
  row->values.resize(features_);
  row->clicks = 0;
  std::string_view clicks;
  for_each_part(text, kTab, [&](std::string_view field, size_t column) {
    const Column::Kind kind = schema_.columns[column].kind;
    if (column == user_id_) row->user_id = token(field);
    if (kind == Column::Kind::categorical) row->tokens.push_back(token(field));
    if (kind == Column::Kind::clicks) clicks = field;
    if (kind != Column::Kind::number) return;
    double number;
    const bool is_number = parse_number(field, schema_.missing, &number);
    if (!is_number || std::isinf(static_cast<float>(number))) {
      fail(column, is_number ? "a number that float32 can hold" : "a number", quoted(field));
    }
    row->numbers.push_back(static_cast<float>(number));
  });
  parse_clicks(clicks, row);
}

void LineParser::parse_clicks(std::string_view text, LogRow* row) const {
  for (LogRow::Values& values : row->values) {
    values.tokens.clear();
    values.offsets.clear();
  }
  for (const Field& field : fields_) {
    if (field.multiple) row->values[field.feature].offsets.push_back(0);
  }
  if (schema_.missing.contains(text)) {
    if (!without_clicks_) fail(clicks_, "clicks " + click_form_, quoted(text));
    return;
  }
  for (size_t begin = 0; begin <= text.size(); ++row->clicks) begin = parse_click(text, begin, row) + 1;
}

// Returns where the click that begins at `begin` ends. What is wrong with it is found out by fail_click.
size_t LineParser::parse_click(std::string_view text, size_t begin, LogRow* row) const {
  bool fits = true;
  size_t field = 0;
  for (size_t start = begin, at = begin;; ++at) {
    while (at < text.size() && text[at] != kFieldEnd && text[at] != kClickEnd) ++at;
    fits = fits && field < fields_.size() && parse_field(field, text.substr(start, at - start), row);
    ++field;
    if (at == text.size() || text[at] == kClickEnd) {
      if (!fits || field != fields_.size()) fail_click(text.substr(begin, at - begin), row->clicks);
      return at;
    }
    start = at + 1;
  }
}

bool LineParser::parse_field(size_t index, std::string_view text, LogRow* row) const {
  const Field& field = fields_[index];
  if (field.is_time) {
    double time;
    const bool fits = parse_number(text, schema_.missing, &time) && !std::isinf(time);
    row->times.push_back(time);
    return fits;
  }
  LogRow::Values& values = row->values[field.feature];
  if (!field.multiple) {
    values.tokens.push_back(token(text));
    return index > 0 || !text.empty();  // the item
  }
  for_each_part(text, kValueSeparator, [&](std::string_view value, size_t) { values.tokens.push_back(token(value)); });
  values.offsets.push_back(static_cast<int32_t>(values.tokens.size()));
  return true;
}

// ---- refusals: src/data/sources/click_log.ts -----------------------------------------------------------------------

void LineParser::fail(size_t column, const std::string& expected, const std::string& received) const {
  const std::string name = column < schema_.columns.size() ? " (" + schema_.columns[column].name + ")" : "";
  throw Error(Status::input,
              "field " + std::to_string(column + 1) + name + ": Expected " + expected + " but received " + received);
}

void LineParser::fail_click(std::string_view click, int64_t index) const {
  const std::string which = " click " + std::to_string(index + 1);
  const bool is_complete = count_parts(click, kFieldEnd) == fields_.size();
  if (is_complete) {
    for_each_part(click, kFieldEnd, [&](std::string_view text, size_t field) {
      double time;
      if (!fields_[field].is_time || (parse_number(text, schema_.missing, &time) && !std::isinf(time))) return;
      fail(clicks_, "a number for " + schema_.click[field].name + " of" + which, quoted(text));
    });
  }
  fail(clicks_, click_form_ + (is_complete ? " with an item for" : " for") + which, quoted(click));
}

// Names the first field that is no UTF-8, or that has a NUL byte.
void LineParser::check_bytes(std::string_view text) const {
  if (!is_utf8(text)) {
    const bool is_compressed = starts_with(text, kGzip) || starts_with(text, kZstd);
    const std::string hint = is_compressed ? " (it looks compressed: give <(zcat FILE) or <(zstdcat FILE))" : "";
    for_each_part(text, kTab, [&](std::string_view field, size_t column) {
      if (!is_utf8(field)) fail(column, "UTF-8 text" + hint, quoted(field));
    });
  }
  if (text.find('\0') == std::string_view::npos) return;
  for_each_part(text, kTab, [&](std::string_view field, size_t column) {
    if (field.find('\0') != std::string_view::npos) fail(column, "text without NUL bytes", quoted(field));
  });
}

}  // namespace shortlist
