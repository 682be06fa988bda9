#include "native/core/json.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <locale>
#include <sstream>
#include <unordered_set>

#include "native/core/error.h"

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

// Length of the well-formed UTF-8 sequence (RFC 3629) that `text` starts with; 0 where it is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const int first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
    if (first == 0xed && byte(1) > 0x9f) return 0;  // surrogate
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first == 0xf0 && byte(1) < 0x90) return 0;  // overlong
    if (first == 0xf4 && byte(1) > 0x8f) return 0;  // past U+10FFFF
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

// Whatever the locale: strtod would stop at the point where numbers have a comma.
bool to_double(std::string_view text, double* number) {
#if defined(__cpp_lib_to_chars)
  const std::from_chars_result result = std::from_chars(text.data(), text.data() + text.size(), *number);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
#else
  std::istringstream stream{std::string(text)};
  stream.imbue(std::locale::classic());
  return static_cast<bool>(stream >> *number);
#endif
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

}  // namespace

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : text_(text) {}

  Json document() {
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
    throw Error(Status::program, "JSON: expected " + std::string(expected) + " at byte " + std::to_string(at_) + " but received " + received);
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
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
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
      value.kind_ = Json::Kind::string;
      value.string_ = parse_string();
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      value.kind_ = Json::Kind::number;
      value.number_ = parse_number();
    } else if (take_word("true")) {
      value.kind_ = Json::Kind::boolean;
      value.boolean_ = true;
    } else if (take_word("false")) {
      value.kind_ = Json::Kind::boolean;
    } else if (!take_word("null")) {
      fail("a value");
    }
    return value;
  }

  void parse_object(Json* value, int depth) {
    value->kind_ = Json::Kind::object;
    ++at_;
    skip_space();
    if (take('}')) return;
    std::unordered_set<std::string> names;
    do {
      skip_space();
      if (peek() != '"') fail("a name in quotes");
      const size_t start = at_;
      std::string name = parse_string();
      if (!names.insert(name).second) {
        at_ = start;
        fail("a name that is new in its object");
      }
      skip_space();
      expect(':', "':'");
      value->members_.emplace_back(std::move(name), parse_value(depth + 1));
      skip_space();
    } while (take(','));
    expect('}', "',' or '}'");
  }

  void parse_array(Json* value, int depth) {
    value->kind_ = Json::Kind::array;
    ++at_;
    skip_space();
    if (take(']')) return;
    do {
      value->items_.push_back(parse_value(depth + 1));
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
    double number = 0;
    if (!to_double(text_.substr(start, at_ - start), &number) || !std::isfinite(number)) {
      at_ = start;
      fail("a number that a float64 holds");
    }
    return number;
  }

  std::string_view text_;
  size_t at_ = 0;
};

Json Json::parse(std::string_view text) { return JsonParser(text).document(); }

const Json* Json::find(std::string_view name) const {
  for (const Member& member : members_) {
    if (member.first == name) return &member.second;
  }
  return nullptr;
}

bool Json::to_size(int64_t* size) const {
  if (kind_ != Kind::number || number_ < 0 || number_ > static_cast<double>(kMaxSafeInteger) || number_ != std::floor(number_)) return false;
  *size = static_cast<int64_t>(number_);
  return true;
}

std::string Json::format() const {
  std::string out;
  switch (kind_) {
    case Kind::null: return "null";
    case Kind::boolean: return boolean_ ? "true" : "false";
    case Kind::number: {
      char digits[32];
      for (const int precision : {15, 16, 17}) {  // the shortest that reads back as the same number
        std::snprintf(digits, sizeof digits, "%.*g", precision, number_);
        if (std::strtod(digits, nullptr) == number_) break;
      }
      return digits;
    }
    case Kind::string: format_string(string_, &out); return out;
    case Kind::array:
      for (const Json& item : items_) out += (out.empty() ? "[" : ",") + item.format();
      return out.empty() ? "[]" : out + "]";
    case Kind::object:
      for (const Member& member : members_) {
        out += out.empty() ? "{" : ",";
        format_string(member.first, &out);
        out += ":" + member.second.format();
      }
      return out.empty() ? "{}" : out + "}";
  }
  return out;
}

}  // namespace shortlist
