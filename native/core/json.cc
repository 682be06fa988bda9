#include "native/core/json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "native/core/error.h"
#include "native/core/text.h"

namespace shortlist {
namespace {

const int kMaxDepth = 64;
const int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

void append_utf8(std::string* out, uint32_t code) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xc0 | code >> 6));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | code >> 12));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else {
    out->push_back(static_cast<char>(0xf0 | code >> 18));
    out->push_back(static_cast<char>(0x80 | (code >> 12 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  }
}

void format_string(const std::string& text, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      *out += escape;
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

// The number of values in each array and object, in the order in which they begin: one more than the number of commas.
// If the text is not JSON, the counts are right up to the first mistake, where the parser stops.
std::vector<uint32_t> count_values(std::string_view text) {
  std::vector<uint32_t> counts;
  std::vector<size_t> open;
  bool in_string = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') ++at;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (open.size() > static_cast<size_t>(kMaxDepth)) break;  // too deep; the parser stops here
      open.push_back(counts.size());
      counts.push_back(1);
    } else if (c == ',' || c == ']' || c == '}') {
      if (open.empty()) break;
      if (c == ',') ++counts[open.back()];
      else open.pop_back();
    }
  }
  return counts;
}

}  // namespace

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : text_(text) {}

  Json document() {
    if (text_.size() > UINT32_MAX) throw Error(Status::program, "JSON: expected less than 4 GiB of text");
    counts_ = count_values(text_);
    Json value = parse_value(0);
    skip_space();
    if (at_ < text_.size()) fail("the end");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* expected) const {
    std::string received = "the end";
    if (at_ < text_.size()) {
      const unsigned char c = static_cast<unsigned char>(text_[at_]);
      char byte[8];
      std::snprintf(byte, sizeof byte, c > 0x20 && c < 0x7f ? "'%c'" : "0x%02x", c);
      received = byte;
    }
    throw Error(Status::program, "JSON: expected " + std::string(expected) + " at byte " + std::to_string(at_) +
                                     " but received " + received);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool take(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }

  void expect(char c, const char* expected) {
    if (!take(c)) fail(expected);
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json parse_value(int depth) {
    skip_space();
    if (depth > kMaxDepth) fail("at most 64 levels");
    Json value;
    const char c = peek();
    if (c == '{') {
      parse_object(&value, depth);
    } else if (c == '[') {
      parse_array(&value, depth);
    } else if (c == '"') {
      std::string text = parse_string();
      value.value_.string = text.empty() ? nullptr : new std::string(std::move(text));
      value.kind_ = Json::Kind::string;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      value.value_.number = parse_number();
      value.kind_ = Json::Kind::number;
    } else if (take_word("true")) {
      value.value_.boolean = true;
      value.kind_ = Json::Kind::boolean;
    } else if (take_word("false")) {
      value.value_.boolean = false;
      value.kind_ = Json::Kind::boolean;
    } else if (!take_word("null")) {
      fail("a value");
    }
    return value;
  }

  void parse_object(Json* value, int depth) {
    ++at_;
    value->value_.members = nullptr;
    value->kind_ = Json::Kind::object;
    const uint32_t count = counts_[next_count_++];
    skip_space();
    if (take('}')) return;
    value->value_.members = new Json::Member[count];
    value->size_ = count;
    Json::Member* member = value->value_.members;
    do {
      skip_space();
      if (peek() != '"') fail("a name in quotes");
      member->first = parse_string();
      skip_space();
      expect(':', "':'");
      member->second = parse_value(depth + 1);
      ++member;
      skip_space();
    } while (take(','));
    expect('}', "',' or '}'");
    check_names(*value);
  }

  void check_names(const Json& object) {
    names_.clear();
    for (const Json::Member& member : object.members()) names_.push_back(&member.first);
    std::sort(names_.begin(), names_.end(), [](const std::string* a, const std::string* b) { return *a < *b; });
    for (size_t i = 1; i < names_.size(); ++i) {
      if (*names_[i - 1] != *names_[i]) continue;
      throw Error(Status::program, "JSON: expected each name once in the object that ends at byte " +
                                       std::to_string(at_ - 1) + " but received " + quoted(*names_[i]) + " again");
    }
  }

  void parse_array(Json* value, int depth) {
    ++at_;
    value->value_.items = nullptr;
    value->kind_ = Json::Kind::array;
    const uint32_t count = counts_[next_count_++];
    skip_space();
    if (take(']')) return;
    value->value_.items = new Json[count];
    value->size_ = count;
    Json* item = value->value_.items;
    do {
      *item++ = parse_value(depth + 1);
      skip_space();
    } while (take(','));
    expect(']', "',' or ']'");
  }

  std::string parse_string() {
    std::string out;
    ++at_;
    for (;;) {
      if (at_ >= text_.size()) fail("'\"'");
      const unsigned char c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        ++at_;
        return out;
      }
      if (c < 0x20) fail("no control character in a string");
      if (c == '\\') {
        ++at_;
        parse_escape(&out);
        continue;
      }
      const size_t length = utf8_length(text_.substr(at_));
      if (length == 0) fail("UTF-8");
      out.append(text_, at_, length);
      at_ += length;
    }
  }

  void parse_escape(std::string* out) {
    switch (peek()) {
      case '"': out->push_back('"'); break;
      case '\\': out->push_back('\\'); break;
      case '/': out->push_back('/'); break;
      case 'b': out->push_back('\b'); break;
      case 'f': out->push_back('\f'); break;
      case 'n': out->push_back('\n'); break;
      case 'r': out->push_back('\r'); break;
      case 't': out->push_back('\t'); break;
      case 'u': {
        ++at_;
        uint32_t code = parse_hex();
        if (code >= 0xdc00 && code <= 0xdfff) fail("a high surrogate before the low one");
        if (code >= 0xd800 && code <= 0xdbff) {
          if (!take_word("\\u")) fail("a low surrogate");
          const uint32_t low = parse_hex();
          if (low < 0xdc00 || low > 0xdfff) fail("a low surrogate");
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        append_utf8(out, code);
        return;
      }
      default: fail("an escape");
    }
    ++at_;
  }

  uint32_t parse_hex() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      if (c >= '0' && c <= '9') code = code * 16 + static_cast<uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f') code = code * 16 + static_cast<uint32_t>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F') code = code * 16 + static_cast<uint32_t>(c - 'A' + 10);
      else fail("a hexadecimal digit");
    }
    return code;
  }

  bool at_digit() const { return peek() >= '0' && peek() <= '9'; }

  void skip_digits() {
    if (!at_digit()) fail("a digit");
    while (at_digit()) ++at_;
  }

  double parse_number() {
    const size_t start = at_;
    take('-');
    if (!take('0')) skip_digits();
    if (take('.')) skip_digits();
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      skip_digits();
    }
    const double number = parse_decimal(text_.substr(start, at_ - start));
    if (!std::isfinite(number)) {
      at_ = start;
      fail("a number that a float64 holds");
    }
    return number;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<uint32_t> counts_;
  size_t next_count_ = 0;
  std::vector<const std::string*> names_;
};

Json Json::parse(std::string_view text) { return JsonParser(text).document(); }

Json& Json::operator=(Json&& other) noexcept {
  std::swap(value_, other.value_);
  std::swap(size_, other.size_);
  std::swap(kind_, other.kind_);
  return *this;
}

void Json::clear() {
  if (kind_ == Kind::string) delete value_.string;
  if (kind_ == Kind::array) delete[] value_.items;
  if (kind_ == Kind::object) delete[] value_.members;
}

const std::string& Json::string() const {
  static const std::string empty;
  return is_string() && value_.string ? *value_.string : empty;
}

const Json* Json::find(std::string_view name) const {
  for (const Member& member : members()) {
    if (member.first == name) return &member.second;
  }
  return nullptr;
}

bool Json::to_size(int64_t* size) const {
  const double value = number();
  if (!is_number() || value < 0 || value > static_cast<double>(kMaxSafeInteger) || value != std::floor(value))
    return false;
  *size = static_cast<int64_t>(value);
  return true;
}

std::string Json::format() const {
  std::string out;
  switch (kind_) {
    case Kind::null: return "null";
    case Kind::boolean: return boolean() ? "true" : "false";
    case Kind::number: {
      char digits[32];
      for (const int precision : {15, 16, 17}) {  // until the text reads back as the same number
        std::snprintf(digits, sizeof digits, "%.*g", precision, number());
        if (std::strtod(digits, nullptr) == number()) break;
      }
      return digits;
    }
    case Kind::string: format_string(string(), &out); return out;
    case Kind::array:
      for (const Json& item : items()) out += (out.empty() ? "[" : ",") + item.format();
      return out.empty() ? "[]" : out + "]";
    case Kind::object:
      for (const Member& member : members()) {
        out += out.empty() ? "{" : ",";
        format_string(member.first, &out);
        out += ":" + member.second.format();
      }
      return out.empty() ? "{}" : out + "}";
  }
  return out;
}

}  // namespace shortlist
