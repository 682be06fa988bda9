#pragma once

#include <cmath>
#include <string>

#include "native/core/error.h"
#include "native/core/json.h"

namespace shortlist {

// Readers of the members that the JSON of a stored dataset or model has to have. What is missing or of another type is
// Error(Status::model). `Object` is Json, or has a `find` like it.

[[noreturn]] inline void fail_model(const std::string& message) { throw Error(Status::model, message); }

template <class Object>
const Json& member(const Object& object, const char* name) {
  const Json* found = object.find(name);
  if (!found) fail_model(std::string("There is no \"") + name + "\"");
  return *found;
}

template <class Object>
std::string text_of(const Object& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_string()) fail_model(std::string("Expected \"") + name + "\" to be a string");
  return value.string();
}

template <class Object>
double number_of(const Object& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_number()) fail_model(std::string("Expected \"") + name + "\" to be a number");
  return value.number();
}

inline bool is_integer(const Json& value, double min, double max) {
  return value.is_number() && value.number() == std::floor(value.number()) && value.number() >= min &&
         value.number() <= max;
}

}  // namespace shortlist
