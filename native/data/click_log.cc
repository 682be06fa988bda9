#include "native/data/click_log.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "native/core/error.h"
#include "native/core/text.h"

namespace shortlist {
namespace {

const char kTab = '\t', kFieldEnd = ':';
const std::string_view kByteOrderMark = "\xef\xbb\xbf", kGzip = "\x1f\x8b", kZstd = "\x28\xb5\x2f\xfd";

bool starts_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

size_t count_parts(std::string_view text, char separator) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), separator)) + 1;
}

// The characters after the backslash of an escape sequence. The byte that stands for the sequence is kHidden and the
// index in this list; no byte of UTF-8 is that large.
const std::string_view kEscaped = "\\:;_t";
const unsigned char kHidden = 0xf8;

// The character after the backslash of the sequence that a byte stands for; 0 if it stands for itself.
char after_backslash(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < kHidden ? '\0' : kEscaped[byte - kHidden];
}

// A part of a line as the log has it, quoted for messages.
std::string as_written(std::string_view part) {
  std::string text;
  for (const char c : part) {
    const char after = after_backslash(c);
    if (after) text += '\\';
    text += after ? after : c;
  }
  return quoted(text);
}

uint64_t repeated(char byte) { return 0x0101010101010101 * static_cast<unsigned char>(byte); }

// The highest bit of each byte of a word that is 0.
uint64_t zero_bytes(uint64_t word) {
  const uint64_t low_bits = 0x7f7f7f7f7f7f7f7f;
  return ~(((word & low_bits) + low_bits) | word | low_bits);
}

// The positions of all separators within clicks. Eight bytes are compared at once, because most parts are shorter than
// that, and a loop over single bytes would be left at an unpredictable place for each of them.
void find_separators(std::string_view text, std::vector<uint32_t>* positions) {
  static_assert(kClickEnd == (kFieldEnd | 1), "both are compared at once");
  positions->clear();
  size_t at = 0;
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  for (uint64_t word; at + sizeof word <= text.size(); at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    uint64_t found =
        zero_bytes((word | repeated(1)) ^ repeated(kClickEnd)) | zero_bytes(word ^ repeated(kValueSeparator));
    for (; found != 0; found &= found - 1)
      positions->push_back(static_cast<uint32_t>(at) + static_cast<uint32_t>(__builtin_ctzll(found)) / 8);
  }
#endif
  for (; at < text.size(); ++at) {
    if ((text[at] | 1) == kClickEnd || text[at] == kValueSeparator) positions->push_back(static_cast<uint32_t>(at));
  }
}

// Whether the text consists of so few digits that float64 holds their number exactly.
bool parse_digits(std::string_view text, double* number) {
  if (text.empty() || text.size() > 15) return false;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  *number = static_cast<double>(value);
  return true;
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

std::string_view hide_escaped(std::string_view text, std::vector<char>* memory) {
  memory->clear();
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t which =
        text[at] == '\\' && at + 1 < text.size() ? kEscaped.find(text[at + 1]) : std::string_view::npos;
    const bool is_sequence = which != std::string_view::npos;
    memory->push_back(is_sequence ? static_cast<char>(kHidden + which) : text[at]);
    at += is_sequence;
  }
  return {memory->data(), memory->size()};
}

void show_escaped(std::vector<char>* text) {
  for (char& c : *text) {
    const char after = after_backslash(c);
    if (after) c = after == 't' ? '\t' : after;
  }
}

bool parse_number(std::string_view text, const MissingWords& missing, double* number) {
  if (missing.contains(text)) {
    *number = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  if (parse_digits(text, number)) return true;
  if (!is_decimal(text)) return false;
  *number = parse_decimal(text);
  return true;
}

bool parse_weight(std::string_view text, const MissingWords& missing, float* weight) {
  double number = 0;
  const bool is_number = parse_number(text, missing, &number);
  *weight = static_cast<float>(number);
  return is_number && (std::isnan(number) || (*weight >= 0 && !std::isinf(*weight)));
}

bool parse_float(std::string_view text, const MissingWords& missing, float* number) {
  double given;
  const bool is_number = parse_number(text, missing, &given);
  *number = is_number ? static_cast<float>(given) : 0.0f;
  return is_number && !std::isinf(*number);
}

LineParser::LineParser(Schema schema, bool without_clicks)
    : schema_(std::move(schema)), without_clicks_(without_clicks) {
  user_id_ = clicks_ = schema_.columns.size();
  for (size_t column = 0; column < schema_.columns.size(); ++column) {
    if (schema_.columns[column].name == "user_id") user_id_ = column;
    if (schema_.columns[column].kind == Column::Kind::clicks) clicks_ = column;
  }
  for (const ClickField& field : schema_.click) {
    const bool is_feature = field.kind == ClickField::Kind::item_feature;
    if (is_feature) {
      has_item_parts_ = has_item_parts_ && rest_ == fields_.size();
      rest_ = fields_.size() + 1;
    }
    const bool is_number = field.kind == ClickField::Kind::number;
    fields_.push_back({field.kind, field.multiple, is_number ? click_numbers_ : features_});
    features_ += is_feature;
    click_numbers_ += is_number;
    click_form_ += (click_form_.empty() ? "" : ":") + field.name;
  }
}

void LineParser::parse(std::string_view text, LogRow* row) const {
  const std::string_view clicks = parse_user(text, row);
  const size_t bad = clicks.empty() ? std::string_view::npos : parse_clicks(clicks, row);
  if (bad != std::string_view::npos) fail_click(clicks.substr(bad), row->clicks);
  show_escaped(&row->escaped);
}

std::string_view LineParser::parse_user(std::string_view text, LogRow* row) const {
  if (text.empty()) {
    throw Error(Status::input,
                "Expected " + std::to_string(schema_.columns.size()) + " fields but received an empty line");
  }
  check_bytes(text);
  row->escaped.clear();
  if (schema_.escapes && text.find('\\') != std::string_view::npos) text = hide_escaped(text, &row->escaped);
  const size_t expected = schema_.columns.size(), received = count_parts(text, kTab);
  if (received != expected) {
    fail(std::min(received, expected), std::to_string(expected) + " fields separated by tabs",
         std::to_string(received));
  }
  row->user_id = {};
  row->tokens.clear();
  row->numbers.clear();
  row->lists.clear();
  row->searches.clear();
  row->times.clear();
  row->weights.clear();
  row->click_numbers.resize(click_numbers_);
  for (std::vector<float>& numbers : row->click_numbers) numbers.clear();
  row->values.resize(features_);
  for (LogRow::Values& values : row->values) {
    values.tokens.clear();
    values.offsets.clear();
  }
  for (const Field& field : fields_) {
    if (field.multiple) row->values[field.place].offsets.push_back(0);
  }
  row->clicks = 0;
  std::string_view clicks;
  for_each_part(text, kTab, [&](std::string_view field, size_t column) {
    if (column == user_id_) row->user_id = token(field);
    if (column == clicks_) clicks = field;
    else parse_column(column, field, row);
  });
  if (!schema_.missing.contains(clicks)) return clicks;
  if (!without_clicks_) fail(clicks_, "clicks " + click_form_, as_written(clicks));
  return {};
}

void LineParser::parse_column(size_t index, std::string_view text, LogRow* row) const {
  const Column& column = schema_.columns[index];
  if (column.multiple) {
    row->lists.emplace_back();
    for_each_part(text, kValueSeparator,
                  [&](std::string_view value, size_t) { row->lists.back().push_back(token(value)); });
  } else if (column.kind == Column::Kind::categorical) {
    row->tokens.push_back(token(text));
  } else if (column.kind == Column::Kind::tokens) {
    row->searches.emplace_back();
    if (schema_.missing.contains(text)) return;
    for_each_part(text, kQueryEnd, [&](std::string_view query, size_t) {
      if (!schema_.missing.contains(query)) row->searches.back().push_back(query);
    });
  } else if (column.kind == Column::Kind::number) {
    double number;
    const bool is_number = parse_number(text, schema_.missing, &number);
    if (!is_number || std::isinf(static_cast<float>(number))) {
      fail(index, is_number ? "a number that float32 can hold" : "a number", as_written(text));
    }
    row->numbers.push_back(static_cast<float>(number));
  }
}

size_t LineParser::parse_clicks(std::string_view text, LogRow* row) const {
  find_separators(text, &row->separators);
  row->separators.push_back(static_cast<uint32_t>(text.size()));
  size_t click = 0, begin = 0, field = 0;  // where the click and the value begin
  for (const uint32_t at : row->separators) {
    const char separator = at < text.size() ? text[at] : kClickEnd;
    const bool is_value = separator == kValueSeparator;
    if (is_value && !fields_[field].multiple) continue;
    const bool fits = parse_value(field, text.substr(begin, at - begin), !is_value, row);
    begin = at + 1;
    if (is_value) continue;
    const bool is_last = ++field == fields_.size();
    if (!fits || is_last != (separator == kClickEnd)) return click;
    if (!is_last) continue;
    ++row->clicks;
    click = begin;
    field = 0;
  }
  return std::string_view::npos;
}

std::string_view LineParser::item_part(std::string_view click) const {
  size_t end = click.size();
  for (size_t field = rest_; field < fields_.size() && end > 0; ++field) {
    end = click.rfind(kFieldEnd, end - 1);
    if (end == std::string_view::npos) end = 0;
  }
  return click.substr(0, end);
}

bool LineParser::parse_rest(std::string_view text, LogRow* row) const {
  if (rest_ == fields_.size()) return true;
  bool fits = true;
  for_each_part(text.substr(1), kFieldEnd, [&](std::string_view value, size_t field) {
    fits = parse_value(rest_ + field, value, true, row) && fits;
  });
  return fits;
}

// Parses a value of a field of a click. Returns false if it cannot be used.
bool LineParser::parse_value(size_t index, std::string_view text, bool is_last, LogRow* row) const {
  const Field& field = fields_[index];
  if (field.kind != ClickField::Kind::item_feature) return parse_property(index, text, row);
  LogRow::Values& values = row->values[field.place];
  values.tokens.push_back(token(text));
  if (field.multiple && is_last) values.offsets.push_back(static_cast<int32_t>(values.tokens.size()));
  return index > 0 || !text.empty();  // the item
}

bool LineParser::parse_property(size_t field, std::string_view text, LogRow* row) const {
  const ClickField::Kind kind = fields_[field].kind;
  if (kind == ClickField::Kind::time) {
    double time;
    const bool fits = parse_number(text, schema_.missing, &time) && !std::isinf(time);
    row->times.push_back(time);
    return fits;
  }
  if (kind == ClickField::Kind::weight) {
    float weight;
    const bool fits = parse_weight(text, schema_.missing, &weight);
    row->weights.push_back(weight);
    return fits;
  }
  if (kind == ClickField::Kind::number) {
    float number;
    const bool fits = parse_float(text, schema_.missing, &number);
    row->click_numbers[fields_[field].place].push_back(number);
    return fits;
  }
  return true;  // a field to ignore
}

// ---- refusals: src/data/sources/click_log.ts -----------------------------------------------------------------------

void LineParser::fail(size_t column, const std::string& expected, const std::string& received) const {
  const std::string name = column < schema_.columns.size() ? " (" + schema_.columns[column].name + ")" : "";
  throw Error(Status::input,
              "field " + std::to_string(column + 1) + name + ": Expected " + expected + " but received " + received);
}

// `clicks` begin with the one that cannot be used.
void LineParser::fail_click(std::string_view clicks, int64_t index) const {
  const std::string_view click = clicks.substr(0, clicks.find(kClickEnd));
  const std::string which = " click " + std::to_string(index + 1);
  const bool is_complete = count_parts(click, kFieldEnd) == fields_.size();
  if (is_complete) {
    for_each_part(click, kFieldEnd, [&](std::string_view text, size_t field) {
      check_property(field, text, " for " + schema_.click[field].name + " of" + which);
    });
  }
  fail(clicks_, click_form_ + (is_complete ? " with an item for" : " for") + which, as_written(click));
}

// Throws if the text of a field that describes the click itself cannot be used.
void LineParser::check_property(size_t field, std::string_view text, const std::string& place) const {
  const ClickField::Kind kind = fields_[field].kind;
  double time;
  float number;
  if (kind == ClickField::Kind::time && (!parse_number(text, schema_.missing, &time) || std::isinf(time)))
    fail(clicks_, "a number" + place, as_written(text));
  if (kind == ClickField::Kind::weight && !parse_weight(text, schema_.missing, &number))
    fail(clicks_, "a number of at least 0" + place, as_written(text));
  if (kind == ClickField::Kind::number && !parse_float(text, schema_.missing, &number)) {
    const bool is_number = parse_number(text, schema_.missing, &time);
    fail(clicks_, (is_number ? "a number that float32 can hold" : "a number") + place, as_written(text));
  }
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
