#include "native/node/arguments.h"

#include <cmath>

namespace shortlist {
namespace {

const double kMaxSafeInteger = 9007199254740991.0;

}  // namespace

std::string string_argument(const Napi::CallbackInfo& info, size_t i, const char* name) {
  if (!info[i].IsString()) fail(info.Env(), "Expected " + std::string(name) + " to be a string");
  return info[i].As<Napi::String>().Utf8Value();
}

int64_t size_argument(const Napi::CallbackInfo& info, size_t i, const char* name) {
  int64_t size;
  if (!is_size(info[i], &size)) fail(info.Env(), "Expected " + std::string(name) + " to be a whole number");
  return size;
}

bool is_size(const Napi::Value& value, int64_t* size) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= kMaxSafeInteger) || number != std::floor(number)) return false;
  *size = static_cast<int64_t>(number);
  return true;
}

const void* elements_of(Napi::Env env, const Napi::Value& array, const std::string& name, int64_t* count) {
  napi_value buffer;
  void* data = nullptr;
  size_t length = 0, offset = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, array, &type, &length, &data, &buffer, &offset) != napi_ok) {
    throw Napi::Error::New(env);
  }
  bool detached = false;
  if (napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && detached) {
    fail(env, "Expected values for \"" + name + "\" but its buffer is detached");
  }
  *count = static_cast<int64_t>(length);
  return data;
}

InputArray array_of(Napi::Env env, const Napi::Value& value, const std::string& name) {
  const auto refuse = [&] { fail(env, "Expected a Float32Array, Int32Array or Uint32Array for \"" + name + "\""); };
  if (!value.IsTypedArray()) refuse();
  InputArray input;
  switch (value.As<Napi::TypedArray>().TypedArrayType()) {
    case napi_float32_array: input.dtype = Dtype::float32; break;
    case napi_int32_array: input.dtype = Dtype::int32; break;
    case napi_uint32_array: input.dtype = Dtype::uint32; break;
    default: refuse();
  }
  input.data = elements_of(env, value, name, &input.elements);
  input.present = true;
  return input;
}

Napi::Value new_array(Napi::Env env, Dtype dtype, int64_t elements, void** data) {
  const auto make = [&](auto array) -> Napi::Value {
    *data = array.Data();
    return array;
  };
  const size_t length = static_cast<size_t>(elements);
  switch (dtype) {
    case Dtype::int32: return make(Napi::Int32Array::New(env, length));
    case Dtype::uint32: return make(Napi::Uint32Array::New(env, length));
    case Dtype::float32: break;
  }
  return make(Napi::Float32Array::New(env, length));
}

}  // namespace shortlist
