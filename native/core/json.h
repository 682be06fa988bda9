#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shortlist {

// A JSON value (RFC 8259), read strictly: no comments, no trailing commas, no duplicate keys, at most 64 levels deep.
class Json {
 public:
  enum class Kind { null, boolean, number, string, array, object };
  using Member = std::pair<std::string, Json>;

  // Throws Error(Status::program) with the byte offset of the first mistake.
  static Json parse(std::string_view text);

  Kind kind() const { return kind_; }
  bool is_boolean() const { return kind_ == Kind::boolean; }
  bool is_number() const { return kind_ == Kind::number; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_array() const { return kind_ == Kind::array; }
  bool is_object() const { return kind_ == Kind::object; }

  bool boolean() const { return boolean_; }
  double number() const { return number_; }
  const std::string& string() const { return string_; }
  const std::vector<Json>& items() const { return items_; }
  const std::vector<Member>& members() const { return members_; }  // in the order of the text

  // The member of this name; nullptr where there is none, or this is no object.
  const Json* find(std::string_view name) const;
  // Whether this is a whole number of 0 to 2⁵³ − 1, and which.
  bool to_size(int64_t* size) const;
  // Back to text.
  std::string format() const;

 private:
  friend class JsonParser;

  Kind kind_ = Kind::null;
  bool boolean_ = false;
  double number_ = 0;
  std::string string_;
  std::vector<Json> items_;
  std::vector<Member> members_;
};

}  // namespace shortlist
