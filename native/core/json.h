#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace shortlist {

// A JSON value (RFC 8259). Parsing is strict (docs/formats.md): UTF-8 without a byte order mark, no comments, no
// trailing commas, no repeated names in an object, no number beyond the range of float64, no lone surrogates, no value
// inside more than 64 others. Values take at most 20 times the memory of their text, because a value has 16 bytes and
// arrays are allocated in their final size.
class Json {
 public:
  enum class Kind : uint8_t { null, boolean, number, string, array, object };
  using Member = std::pair<std::string, Json>;

  // The values of an array, or the members of an object.
  template <class Value>
  class List {
   public:
    List(const Value* values, size_t size) : values_(values), size_(size) {}
    const Value* begin() const { return values_; }
    const Value* end() const { return values_ + size_; }
    size_t size() const { return size_; }
    const Value& operator[](size_t i) const { return values_[i]; }

   private:
    const Value* values_;
    size_t size_;
  };

  // Throws Error(Status::program), whose message has the byte offset of the first mistake.
  static Json parse(std::string_view text);

  Json() = default;
  ~Json() { clear(); }
  Json(Json&& other) noexcept { *this = std::move(other); }
  Json& operator=(Json&& other) noexcept;

  Kind kind() const { return kind_; }
  bool is_boolean() const { return kind_ == Kind::boolean; }
  bool is_number() const { return kind_ == Kind::number; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_array() const { return kind_ == Kind::array; }
  bool is_object() const { return kind_ == Kind::object; }

  // For a value of another kind these give false, 0, "" and an empty list.
  bool boolean() const { return is_boolean() && value_.boolean; }
  double number() const { return is_number() ? value_.number : 0; }
  const std::string& string() const;
  List<Json> items() const { return {is_array() ? value_.items : nullptr, is_array() ? size_ : 0}; }
  List<Member> members() const;  // in the order of the text

  // The member with this name, or nullptr if there is none or this is not an object.
  const Json* find(std::string_view name) const;
  // If this is a whole number from 0 to 2⁵³ − 1, stores it in *size and returns true.
  bool to_size(int64_t* size) const;
  // The value as JSON text without spaces.
  std::string format() const;

 private:
  friend class JsonParser;

  void clear();

  union Value {
    // The first member, because {} initialises only that one. nullptr stands for "".
    std::string* string;
    Json* items;
    Member* members;
    double number;
    bool boolean;
  };
  Value value_ = {};   // kind_ says which member is in use
  uint32_t size_ = 0;  // number of items or members; the pointer is nullptr if it is 0
  Kind kind_ = Kind::null;
};

inline Json::List<Json::Member> Json::members() const {
  return {is_object() ? value_.members : nullptr, is_object() ? size_ : 0};
}

}  // namespace shortlist
