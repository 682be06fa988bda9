#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "native/core/executor.h"
#include "native/core/tensor.h"

namespace shortlist {

// Reads the members of a plain object. Functions throw ERR_INPUT, with the name of the member, if it has another type.
class ObjectReader {
 public:
  ObjectReader(Napi::Env env, const Napi::Value& value, const char* what);

  bool has(const char* name) const { return !object_.Get(name).IsUndefined(); }
  int64_t size(const char* name) const;
  double number(const char* name) const;
  std::string text(const char* name) const;
  // Whether the member is this string.
  bool is(const char* name, const char* text) const;
  // A boolean member; false if it is missing.
  bool flag(const char* name) const;
  ObjectReader object(const char* name) const { return ObjectReader(env_, object_.Get(name), name); }
  // An array of objects.
  std::vector<ObjectReader> list(const char* name) const;
  // A typed array with this dtype and at least so many elements. A reference in `kept` keeps it alive.
  InputArray array(const char* name, Dtype dtype, int64_t elements, std::vector<Napi::ObjectReference>* kept) const;
  // The same for a Float64Array; there is no Dtype for it.
  const double* doubles(const char* name, int64_t elements, std::vector<Napi::ObjectReference>* kept) const;

 private:
  Napi::Env env_;
  Napi::Object object_;
};

}  // namespace shortlist
