#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "native/core/executor.h"
#include "native/core/tensor.h"
#include "native/node/errors.h"

namespace shortlist {

// Converts values from JavaScript. Each function throws ERR_INPUT, with the name of the argument, for a value of
// another type.

// Argument `i` of a call, a string.
std::string string_argument(const Napi::CallbackInfo& info, size_t i, const char* name);
int64_t size_argument(const Napi::CallbackInfo& info, size_t i, const char* name);

// If `value` is a whole number from 0 to 2⁵³ − 1, stores it in *size and returns true.
bool is_size(const Napi::Value& value, int64_t* size);

// The elements of a typed array, and their number in *count. Throws ERR_INPUT for a detached array, which has no
// memory.
const void* elements_of(Napi::Env env, const Napi::Value& array, const std::string& name, int64_t* count);

// The elements, dtype and length of a Float32Array, Int32Array or Uint32Array.
InputArray array_of(Napi::Env env, const Napi::Value& value, const std::string& name);

// A new typed array with this dtype and length. *data is set to its elements.
Napi::Value new_array(Napi::Env env, Dtype dtype, int64_t elements, void** data);

// The native object of a JavaScript instance of `Class`. Instances of other classes are refused by their type tag.
template <class Class>
Class* unwrap(Napi::Env env, const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&Class::kTag)) {
    fail(env, std::string("Expected ") + Class::kExpected);
  }
  return Class::Unwrap(value.As<Napi::Object>());
}

}  // namespace shortlist
