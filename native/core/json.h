#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace shortlist {

// A JSON value (RFC 8259), read strictly: UTF-8 without a byte order mark, no comments, no trailing commas, each name
// once in an object, numbers that a float64 holds, no lone surrogates, no value inside more than 64 others
// (docs/formats.md). They take at most 20 times the memory of their text: each has 16 bytes, and arrays are allocated
// in their final size.
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

  // Throws Error(Status::program) with the byte offset of the first mistake.
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

  // Of another kind of value: false, 0, "", nothing.
  bool boolean() const { return is_boolean() && value_.boolean; }
  double number() const { return is_number() ? value_.number : 0; }
  const std::string& string() const;
  List<Json> items() const { return {is_array() ? value_.items : nullptr, is_array() ? size_ : 0}; }
  List<Member> members() const;  // in the order of the text

  // The member of this name; nullptr where there is none, or this is no object.
  const Json* find(std::string_view name) const;
  // Whether this is a whole number of 0 to 2⁵³ − 1, and which.
  bool to_size(int64_t* size) const;
  // Back to text.
  std::string format() const;

 private:
  friend class JsonParser;

  void clear();

  union Value {
    std::string*
        string;  // the first, as {} makes that one nullptr and may leave other bytes of a smaller one as they are
    Json* items;
    Member* members;
    double number;
    bool boolean;
  };
  Value value_ = {};   // the member of the kind
  uint32_t size_ = 0;  // of an array or object; what it points to is nullptr where it is 0
  Kind kind_ = Kind::null;
};

inline Json::List<Json::Member> Json::members() const {
  return {is_object() ? value_.members : nullptr, is_object() ? size_ : 0};
}

}  // namespace shortlist
