#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "native/core/executor.h"
#include "native/core/tensor.h"
#include "native/node/errors.h"

namespace shortlist {

// What JavaScript passes, as native values. Each function throws ERR_INPUT, naming the argument, for a value of another
// type.

// Argument `i` of a call.
std::string string_argument(const Napi::CallbackInfo& info, size_t i, const char* name);
int64_t size_argument(const Napi::CallbackInfo& info, size_t i, const char* name);

// Whether `value` is a whole number from 0 to 2⁵³ − 1, which is written to `size`.
bool is_size(const Napi::Value& value, int64_t* size);

// The elements of a typed array and their number. A detached array, whose memory is gone, is refused.
const void* elements_of(Napi::Env env, const Napi::Value& array, const std::string& name, int64_t* count);

// A Float32Array, Int32Array or Uint32Array.
InputArray array_of(Napi::Env env, const Napi::Value& value, const std::string& name);

// A new typed array of this dtype and length; `data` is set to its elements.
Napi::Value new_array(Napi::Env env, Dtype dtype, int64_t elements, void** data);

// The native object behind an instance of `Class`. An instance of another class is refused by its type tag.
template <class Class>
Class* unwrap(Napi::Env env, const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&Class::kTag)) {
    fail(env, std::string("Expected ") + Class::kExpected);
  }
  return Class::Unwrap(value.As<Napi::Object>());
}

}  // namespace shortlist
