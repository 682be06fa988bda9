#include "native/node/object_reader.h"

#include "native/core/program.h"
#include "native/node/arguments.h"

namespace shortlist {

ObjectReader::ObjectReader(Napi::Env env, const Napi::Value& value, const char* what) : env_(env) {
  if (!value.IsObject()) fail(env, "Expected " + std::string(what) + " to be an object");
  object_ = value.As<Napi::Object>();
}

int64_t ObjectReader::size(const char* name) const {
  int64_t size;
  if (!is_size(object_.Get(name), &size)) fail(env_, "Expected \"" + std::string(name) + "\" to be a whole number");
  return size;
}

double ObjectReader::number(const char* name) const {
  const Napi::Value value = object_.Get(name);
  if (!value.IsNumber()) fail(env_, "Expected \"" + std::string(name) + "\" to be a number");
  return value.As<Napi::Number>().DoubleValue();
}

std::string ObjectReader::text(const char* name) const {
  const Napi::Value value = object_.Get(name);
  if (!value.IsString()) fail(env_, "Expected \"" + std::string(name) + "\" to be a string");
  return value.As<Napi::String>().Utf8Value();
}

bool ObjectReader::is(const char* name, const char* text) const {
  const Napi::Value value = object_.Get(name);
  return value.IsString() && value.As<Napi::String>().Utf8Value() == text;
}

bool ObjectReader::flag(const char* name) const {
  const Napi::Value value = object_.Get(name);
  if (!value.IsBoolean() && !value.IsUndefined()) fail(env_, "Expected \"" + std::string(name) + "\" to be a boolean");
  return value.ToBoolean();
}

std::vector<ObjectReader> ObjectReader::list(const char* name) const {
  const Napi::Value value = object_.Get(name);
  if (!value.IsArray()) fail(env_, "Expected \"" + std::string(name) + "\" to be an array");
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<ObjectReader> members;
  for (uint32_t i = 0; i < array.Length(); ++i) members.emplace_back(env_, array.Get(i), name);
  return members;
}

InputArray ObjectReader::array(const char* name, Dtype dtype, int64_t elements,
                               std::vector<Napi::ObjectReference>* kept) const {
  const Napi::Value value = object_.Get(name);
  const InputArray array = array_of(env_, value, name);
  if (array.dtype != dtype || array.elements < elements) {
    fail(env_, "Expected " + std::to_string(elements) + " elements of " + name_of(dtype) + " for \"" + name + "\"");
  }
  kept->push_back(Napi::Persistent(value.As<Napi::Object>()));
  return array;
}

const double* ObjectReader::doubles(const char* name, int64_t elements,
                                    std::vector<Napi::ObjectReference>* kept) const {
  const Napi::Value value = object_.Get(name);
  const bool is_double = value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float64_array;
  int64_t count = 0;
  const void* data = is_double ? elements_of(env_, value, name, &count) : nullptr;
  if (!is_double || count < elements) {
    fail(env_, "Expected " + std::to_string(elements) + " elements of float64 for \"" + name + "\"");
  }
  kept->push_back(Napi::Persistent(value.As<Napi::Object>()));
  return static_cast<const double*>(data);
}

}  // namespace shortlist
