#include "native/node/store.h"

#include <string>
#include <utility>
#include <vector>

#include "native/core/bulk_read.h"
#include "native/core/program.h"
#include "native/node/arguments.h"
#include "native/node/errors.h"
#include "native/node/load_work.h"
#include "native/node/work.h"

namespace shortlist {
namespace {

Dtype dtype_of(Napi::Env env, const std::string& name) {
  for (const Dtype dtype : {Dtype::float32, Dtype::int32, Dtype::uint32}) {
    if (name == name_of(dtype)) return dtype;
  }
  fail(env, "Expected dtype float32, int32 or uint32 but received \"" + name + "\"");
}

std::vector<int64_t> shape_of(Napi::Env env, const Napi::Value& value, const std::string& name) {
  if (!value.IsArray()) fail(env, "Expected shape to be an array");
  const Napi::Array sizes = value.As<Napi::Array>();
  std::vector<int64_t> shape;
  for (uint32_t i = 0; i < sizes.Length(); ++i) {
    int64_t size;
    if (!is_size(sizes.Get(i), &size)) fail(env, "Expected a shape of whole numbers for \"" + name + "\"");
    shape.push_back(size);
  }
  return shape;
}

}  // namespace

void StoreState::report_bytes(Napi::Env env) {
  int64_t bytes = 0;
  if (store) {
    for (const auto& stored : store->tensors()) bytes += static_cast<int64_t>(stored->memory.bytes());
  }
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported_bytes);
  reported_bytes = bytes;
}

bool StoreState::will_be_written() const {
  if (is_alone) return true;
  for (const Work* work : waiting) {
    if (work->is_alone()) return true;
  }
  return false;
}

const napi_type_tag NativeStore::kTag = {0x6e0d1f4b5a8c4f21, 0x9a7be2c05d314e02};

Napi::Function NativeStore::define(Napi::Env env) {
  return DefineClass(
      env, "NativeStore",
      {InstanceMethod<&NativeStore::define_tensor>("define"), InstanceMethod<&NativeStore::write>("write"),
       InstanceMethod<&NativeStore::read>("read"), InstanceMethod<&NativeStore::read_into>("readInto"),
       InstanceMethod<&NativeStore::read_rows>("readRows"), InstanceMethod<&NativeStore::fill>("fill"),
       InstanceMethod<&NativeStore::load>("load"), InstanceMethod<&NativeStore::first_not_finite>("firstNotFinite"),
       InstanceMethod<&NativeStore::tensors>("tensors"), InstanceMethod<&NativeStore::close>("close")});
}

NativeStore::NativeStore(const Napi::CallbackInfo& info) : ObjectWrap(info), state_(std::make_shared<StoreState>()) {
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

void NativeStore::Finalize(Napi::Env env) {
  Napi::MemoryManagement::AdjustExternalMemory(env, -state_->reported_bytes);
}

Store& NativeStore::opened(Napi::Env env) const {
  if (!state_->store) throw to_js(env, Status::executor, "The store is closed");
  return *state_->store;
}

void NativeStore::expect_idle(Napi::Env env, const char* what) const {
  if (state_->runs == 0) return;
  throw to_js(env, Status::executor, "Expected no run in flight while the store is " + std::string(what));
}

// Tensors can be read beside runs that only read them.
void NativeStore::expect_unchanging(Napi::Env env) const {
  if (state_->is_alone) expect_idle(env, "read");
}

void NativeStore::expect_writable(Napi::Env env) const {
  expect_idle(env, "written");
  if (state_->searches == 0) return;
  throw to_js(env, Status::executor, "Expected no open search over the store while it is written: close it first");
}

// Frees the tensors when the runs in flight have finished.
Napi::Value NativeStore::close(const Napi::CallbackInfo& info) {
  state_->store.reset();
  state_->report_bytes(info.Env());
  return info.Env().Undefined();
}

// Arguments: (name, dtype, shape).
Napi::Value NativeStore::define_tensor(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = string_argument(info, 0, "name");
  const Dtype dtype = dtype_of(env, string_argument(info, 1, "dtype"));
  const std::vector<int64_t> shape = shape_of(env, info[2], name);
  expect_idle(env, "changed");
  guarded(env, [&] { opened(env).define(name, dtype, shape); });
  return env.Undefined();
}

// Arguments: (name, values, offset).
Napi::Value NativeStore::write(const Napi::CallbackInfo& info) {
  const std::string name = string_argument(info, 0, "name");
  const InputArray values = array_of(info.Env(), info[1], name);
  const int64_t offset = size_argument(info, 2, "offset");
  expect_writable(info.Env());
  guarded(info.Env(), [&] { opened(info.Env()).write(name, values.dtype, values.data, offset, values.elements); });
  return info.Env().Undefined();
}

// Arguments: (name, offset, count). Returns a new typed array; without a count, up to the end of the tensor.
Napi::Value NativeStore::read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = string_argument(info, 0, "name");
  const int64_t offset = size_argument(info, 1, "offset");
  expect_unchanging(env);
  return guarded(env, [&] {
    const Store& store = opened(env);
    const Store::Stored& stored = store.at(name);
    const bool to_end = info[2].IsUndefined() && offset <= stored.elements;
    const int64_t count = to_end ? stored.elements - offset : size_argument(info, 2, "count");
    store.read(name, nullptr, offset, 0);
    if (count > stored.elements - offset) store.read(name, nullptr, offset, count);  // throws the error
    void* data;
    const Napi::Value values = new_array(env, stored.dtype, count, &data);
    store.read(name, data, offset, count);
    return values;
  });
}

// Arguments: (name, values, offset). Fills the typed array with the elements from `offset` on.
Napi::Value NativeStore::read_into(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = string_argument(info, 0, "name");
  const InputArray values = array_of(env, info[1], name);
  const int64_t offset = size_argument(info, 2, "offset");
  expect_unchanging(env);
  guarded(env, [&] {
    const Store& store = opened(env);
    if (store.at(name).dtype != values.dtype) {
      throw Error(Status::input, std::string("Expected values of ") + name_of(store.at(name).dtype) + " for \"" + name +
                                     "\" but received " + name_of(values.dtype));
    }
    read_on_threads(store, name, const_cast<void*>(values.data), offset, values.elements);
  });
  return env.Undefined();
}

// Arguments: (name, rows). Returns a new typed array with these rows, one behind the other.
Napi::Value NativeStore::read_rows(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = string_argument(info, 0, "name");
  const InputArray rows = array_of(env, info[1], "rows");
  if (rows.dtype != Dtype::int32) fail(env, "Expected rows to be an Int32Array");
  expect_unchanging(env);
  return guarded(env, [&] {
    const Store& store = opened(env);
    void* data;
    const Napi::Value values = new_array(env, store.at(name).dtype, rows.elements * store.row_elements(name), &data);
    store.read_rows(name, static_cast<const int32_t*>(rows.data), rows.elements, data);
    return values;
  });
}

// Arguments: (name, kind, scale, seed, tensor): RandomValues in native/core/initial_values.h.
Napi::Value NativeStore::fill(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = string_argument(info, 0, "name"), kind = string_argument(info, 1, "kind");
  if (kind != "normal" && kind != "uniform") fail(env, "Expected kind normal or uniform but received \"" + kind + "\"");
  if (!info[2].IsNumber()) fail(env, "Expected scale to be a number");
  const RandomValues random = {kind == "normal", info[2].As<Napi::Number>().DoubleValue(),
                               static_cast<uint32_t>(size_argument(info, 3, "seed")),
                               static_cast<uint32_t>(size_argument(info, 4, "tensor"))};
  expect_writable(env);
  guarded(env, [&] { opened(env).fill(name, random); });
  return env.Undefined();
}

// Arguments: (name, descriptor, path, position, offset, count). Returns a promise of Store::load.
Napi::Value NativeStore::load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  LoadWork::Arguments arguments;
  arguments.name = string_argument(info, 0, "name");
  arguments.descriptor = static_cast<int>(size_argument(info, 1, "descriptor"));
  arguments.path = string_argument(info, 2, "path");
  arguments.position = size_argument(info, 3, "position");
  arguments.offset = size_argument(info, 4, "offset");
  arguments.count = size_argument(info, 5, "count");
  opened(env);
  expect_writable(env);
  return (new LoadWork(env, state_, std::move(arguments)))->start_or_wait();
}

// Arguments: (name, offset, count or undefined). Returns Store::first_not_finite.
Napi::Value NativeStore::first_not_finite(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = string_argument(info, 0, "name");
  const int64_t offset = size_argument(info, 1, "offset");
  const int64_t count = info[2].IsUndefined() ? -1 : size_argument(info, 2, "count");
  expect_unchanging(env);
  return guarded(env, [&] {
    return Napi::Number::New(env, static_cast<double>(opened(env).first_not_finite(name, offset, count)));
  });
}

Napi::Value NativeStore::tensors(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const auto& stored : opened(env).tensors()) {
    Napi::Object tensor = Napi::Object::New(env);
    Napi::Array shape = Napi::Array::New(env);
    for (const int64_t size : stored->shape) {
      shape.Set(shape.Length(), Napi::Number::New(env, static_cast<double>(size)));
    }
    tensor.Set("name", stored->name);
    tensor.Set("dtype", name_of(stored->dtype));
    tensor.Set("shape", shape);
    list.Set(list.Length(), tensor);
  }
  return list;
}

}  // namespace shortlist
