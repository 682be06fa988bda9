// The Node-API door: types and counts are checked here, the rest in native/core and native/data. src/executors/native.ts
// is its only caller. Native errors become JavaScript errors with a `code` of src/errors.ts.

#include <napi.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "native/core/cpu.h"
#include "native/core/error.h"
#include "native/core/executor.h"
#include "native/core/program.h"
#include "native/core/store.h"
#include "native/data/batcher.h"
#include "native/data/prefetch.h"
#include "native/node/files.h"

namespace shortlist {
namespace {

const napi_type_tag kEngineTag = {0x6e0d1f4b5a8c4f21, 0x9a7be2c05d314e01};
const napi_type_tag kStoreTag = {0x6e0d1f4b5a8c4f21, 0x9a7be2c05d314e02};
const napi_type_tag kBatchesTag = {0x6e0d1f4b5a8c4f21, 0x9a7be2c05d314e03};

const char* code_of(Status status) {
  switch (status) {
    case Status::file: return "ERR_FILE";
    case Status::input: return "ERR_INPUT";
    case Status::model: return "ERR_MODEL";
    case Status::option: return "ERR_OPTION";
    case Status::program: return "ERR_PROGRAM";
    case Status::ok:
    case Status::executor: break;
  }
  return "ERR_EXECUTOR";
}

Napi::Error to_js(Napi::Env env, Status status, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code_of(status)));
  return error;
}

// Calls body; its native errors become JavaScript ones.
template <class Body>
auto guarded(Napi::Env env, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Error& error) {
    throw to_js(env, error.status(), error.what());
  } catch (const std::bad_alloc&) {
    throw to_js(env, Status::executor, "Expected more memory but the system has none left");
  }
}

[[noreturn]] void fail(Napi::Env env, const std::string& message) { throw to_js(env, Status::input, message); }

std::string string_argument(const Napi::CallbackInfo& info, size_t i, const char* name) {
  if (!info[i].IsString()) fail(info.Env(), "Expected " + std::string(name) + " to be a string");
  return info[i].As<Napi::String>().Utf8Value();
}

bool is_size(const Napi::Value& value, int64_t* size) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= 9007199254740991.0) || number != std::floor(number)) return false;
  *size = static_cast<int64_t>(number);
  return true;
}

int64_t size_argument(const Napi::CallbackInfo& info, size_t i, const char* name) {
  int64_t size;
  if (!is_size(info[i], &size)) fail(info.Env(), "Expected " + std::string(name) + " to be a whole number");
  return size;
}

// A typed array's elements, and how many there are. A detached one has no memory any more, so it is refused by name.
const void* elements_of(Napi::Env env, const Napi::Value& array, const std::string& name, int64_t* count) {
  napi_value buffer;
  void* data = nullptr;
  size_t length = 0, offset = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, array, &type, &length, &data, &buffer, &offset) != napi_ok) throw Napi::Error::New(env);
  bool detached = false;
  if (napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && detached) {
    fail(env, "Expected values for \"" + name + "\" but its buffer is detached");
  }
  *count = static_cast<int64_t>(length);
  return data;
}

// A 4-byte typed array.
InputArray array_of(Napi::Env env, const Napi::Value& value, const std::string& name) {
  if (!value.IsTypedArray()) fail(env, "Expected a Float32Array, Int32Array or Uint32Array for \"" + name + "\"");
  InputArray input;
  switch (value.As<Napi::TypedArray>().TypedArrayType()) {
    case napi_float32_array: input.dtype = Dtype::float32; break;
    case napi_int32_array: input.dtype = Dtype::int32; break;
    case napi_uint32_array: input.dtype = Dtype::uint32; break;
    default: fail(env, "Expected a Float32Array, Int32Array or Uint32Array for \"" + name + "\"");
  }
  input.data = elements_of(env, value, name, &input.elements);
  input.present = true;
  return input;
}

// A new typed array, and where its elements are.
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

// ---- engine ---------------------------------------------------------------------------------------------------------

class Work;

// Runs of one engine take turns. All on the JavaScript thread.
struct EngineState {
  EngineState(int threads, const std::string& isa) : engine(std::make_shared<Engine>(threads, isa)) {}

  std::shared_ptr<Engine> engine;
  std::deque<Work*> waiting;
  bool busy = false;
};

class NativeEngine : public Napi::ObjectWrap<NativeEngine> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeEngine", {InstanceAccessor<&NativeEngine::threads>("threads"), InstanceAccessor<&NativeEngine::isa>("isa"),
                                               InstanceMethod<&NativeEngine::close>("close")});
  }

  // (threads, isa)
  explicit NativeEngine(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const int64_t threads = size_argument(info, 0, "threads");
    const std::string isa = string_argument(info, 1, "isa");
    if (threads < 1 || threads > 1024) throw to_js(info.Env(), Status::option, "Expected 1 to 1024 threads but received " + std::to_string(threads));
    state = guarded(info.Env(), [&] { return std::make_shared<EngineState>(static_cast<int>(threads), isa); });
    info.This().As<Napi::Object>().TypeTag(&kEngineTag);
  }

  static std::shared_ptr<EngineState> state_of(Napi::Env env, const Napi::Value& value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kEngineTag)) fail(env, "Expected a NativeEngine");
    return Unwrap(value.As<Napi::Object>())->state;
  }

 private:
  Engine& opened(Napi::Env env) {
    if (!state->engine) throw to_js(env, Status::executor, "The engine is closed");
    return *state->engine;
  }

  Napi::Value threads(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), opened(info.Env()).thread_count()); }
  Napi::Value isa(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), opened(info.Env()).isa()); }

  // Ends the threads once no executor needs them: those are to be closed, too, and runs in flight are finished.
  Napi::Value close(const Napi::CallbackInfo& info) {
    state->engine.reset();
    return info.Env().Undefined();
  }

  std::shared_ptr<EngineState> state;
};

// ---- store ----------------------------------------------------------------------------------------------------------

struct StoreState {
  std::shared_ptr<Store> store = std::make_shared<Store>();
  int runs = 0;  // handed to another thread; touched on the JavaScript thread only
  int64_t reported_bytes = 0;

  // Tells JavaScript's garbage collector how large the store is. It is told when the store is put to use: the arrays that
  // filled it are garbage by then, and with so much memory in use it collects them at once.
  void report_bytes(Napi::Env env) {
    int64_t bytes = 0;
    if (store) {
      for (const auto& stored : store->tensors()) bytes += static_cast<int64_t>(stored->memory.bytes());
    }
    Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported_bytes);
    reported_bytes = bytes;
  }
};

class NativeStore : public Napi::ObjectWrap<NativeStore> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeStore",
                       {InstanceMethod<&NativeStore::define_tensor>("define"), InstanceMethod<&NativeStore::write>("write"),
                        InstanceMethod<&NativeStore::read>("read"), InstanceMethod<&NativeStore::fill>("fill"),
                        InstanceMethod<&NativeStore::first_not_finite>("firstNotFinite"), InstanceMethod<&NativeStore::tensors>("tensors"),
                        InstanceMethod<&NativeStore::close>("close")});
  }

  explicit NativeStore(const Napi::CallbackInfo& info) : ObjectWrap(info), state(std::make_shared<StoreState>()) {
    info.This().As<Napi::Object>().TypeTag(&kStoreTag);
  }

  void Finalize(Napi::Env env) override { Napi::MemoryManagement::AdjustExternalMemory(env, -state->reported_bytes); }

  static std::shared_ptr<StoreState> state_of(Napi::Env env, const Napi::Value& value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kStoreTag)) fail(env, "Expected a NativeStore");
    return Unwrap(value.As<Napi::Object>())->state;
  }

 private:
  Store& opened(Napi::Env env) {
    if (!state->store) throw to_js(env, Status::executor, "The store is closed");
    return *state->store;
  }

  // Frees the tensors at once, or after the runs that are in flight.
  Napi::Value close(const Napi::CallbackInfo& info) {
    state->store.reset();
    state->report_bytes(info.Env());
    return info.Env().Undefined();
  }

  void expect_idle(Napi::Env env, const char* what) {
    if (state->runs > 0) throw to_js(env, Status::executor, "Expected no run in flight while the store is " + std::string(what));
  }

  // (name, dtype, shape)
  Napi::Value define_tensor(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const std::string name = string_argument(info, 0, "name"), dtype_name = string_argument(info, 1, "dtype");
    Dtype dtype = Dtype::float32;
    if (dtype_name == name_of(Dtype::int32)) dtype = Dtype::int32;
    else if (dtype_name == name_of(Dtype::uint32)) dtype = Dtype::uint32;
    else if (dtype_name != name_of(Dtype::float32)) fail(env, "Expected dtype float32, int32 or uint32 but received \"" + dtype_name + "\"");
    if (!info[2].IsArray()) fail(env, "Expected shape to be an array");
    const Napi::Array sizes = info[2].As<Napi::Array>();
    std::vector<int64_t> shape;
    for (uint32_t i = 0; i < sizes.Length(); ++i) {
      int64_t size;
      if (!is_size(sizes.Get(i), &size)) fail(env, "Expected a shape of whole numbers for \"" + name + "\"");
      shape.push_back(size);
    }
    expect_idle(env, "changed");
    guarded(env, [&] { opened(env).define(name, dtype, shape); });
    return env.Undefined();
  }

  // (name, values, offset)
  Napi::Value write(const Napi::CallbackInfo& info) {
    const std::string name = string_argument(info, 0, "name");
    const InputArray values = array_of(info.Env(), info[1], name);
    const int64_t offset = size_argument(info, 2, "offset");
    expect_idle(info.Env(), "written");
    guarded(info.Env(), [&] { opened(info.Env()).write(name, values.dtype, values.data, offset, values.elements); });
    return info.Env().Undefined();
  }

  // (name, offset, count): count undefined reads to the end
  Napi::Value read(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const std::string name = string_argument(info, 0, "name");
    const int64_t offset = size_argument(info, 1, "offset");
    expect_idle(env, "read");
    return guarded(env, [&] {
      const Store& store = opened(env);
      const Store::Stored& stored = store.at(name);
      const int64_t count = info[2].IsUndefined() && offset <= stored.elements ? stored.elements - offset : size_argument(info, 2, "count");
      store.read(name, nullptr, offset, 0);
      if (count > stored.elements - offset) store.read(name, nullptr, offset, count);  // throws
      void* data;
      const Napi::Value values = new_array(env, stored.dtype, count, &data);
      store.read(name, data, offset, count);
      return values;
    });
  }

  // (name, kind, scale, seed, tensor)
  Napi::Value fill(const Napi::CallbackInfo& info) {
    const std::string name = string_argument(info, 0, "name"), kind = string_argument(info, 1, "kind");
    if (kind != "normal" && kind != "uniform") fail(info.Env(), "Expected kind normal or uniform but received \"" + kind + "\"");
    if (!info[2].IsNumber()) fail(info.Env(), "Expected scale to be a number");
    const RandomValues random = {kind == "normal", info[2].As<Napi::Number>().DoubleValue(),
                                 static_cast<uint32_t>(size_argument(info, 3, "seed")), static_cast<uint32_t>(size_argument(info, 4, "tensor"))};
    expect_idle(info.Env(), "written");
    guarded(info.Env(), [&] { opened(info.Env()).fill(name, random); });
    return info.Env().Undefined();
  }

  // (name)
  Napi::Value first_not_finite(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const std::string name = string_argument(info, 0, "name");
    expect_idle(env, "read");
    return guarded(env, [&] { return Napi::Number::New(env, static_cast<double>(opened(env).first_not_finite(name))); });
  }

  Napi::Value tensors(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Napi::Array list = Napi::Array::New(env);
    for (const auto& stored : opened(env).tensors()) {
      Napi::Object tensor = Napi::Object::New(env);
      Napi::Array shape = Napi::Array::New(env);
      for (const int64_t size : stored->shape) shape.Set(shape.Length(), Napi::Number::New(env, static_cast<double>(size)));
      tensor.Set("name", stored->name);
      tensor.Set("dtype", name_of(stored->dtype));
      tensor.Set("shape", shape);
      list.Set(list.Length(), tensor);
    }
    return list;
  }

  std::shared_ptr<StoreState> state;
};

// ---- executor -------------------------------------------------------------------------------------------------------

// Work of an executor: waits for the engine's turn, is done off the JavaScript thread, and settles its promise.
class Work : public Napi::AsyncWorker {
 public:
  Work(Napi::Env env, const char* name, std::shared_ptr<EngineState> engine, std::shared_ptr<StoreState> store, std::shared_ptr<Executor> executor)
      : AsyncWorker(env, name),
        executor_(std::move(executor)),
        engine_(std::move(engine)),
        store_(std::move(store)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  // From here on it deletes itself.
  Napi::Promise start_or_wait() {
    const Napi::Promise promise = deferred_.Promise();
    if (engine_->busy) {
      engine_->waiting.push_back(this);
    } else {
      start();
    }
    return promise;
  }

 protected:
  // Off the JavaScript thread.
  virtual void compute() = 0;
  virtual Napi::Value result(Napi::Env env) = 0;

  void Execute() override {
    try {
      compute();
    } catch (const Error& error) {
      status_ = error.status();
      message_ = error.what();
    } catch (const std::exception& error) {
      status_ = Status::executor;
      message_ = error.what();
    }
  }

  // Deletes this at its end, as AsyncWorker's own does.
  void OnWorkComplete(Napi::Env env, napi_status) override {
    --store_->runs;
    engine_->busy = false;
    const bool alive = try_settle(env);
    std::shared_ptr<EngineState> engine = std::move(engine_);
    delete this;
    if (engine->busy || engine->waiting.empty()) return;
    if (alive) {
      Work* next = engine->waiting.front();
      engine->waiting.pop_front();
      next->start();
    } else {
      for (Work* waiting : std::exchange(engine->waiting, {})) delete waiting;
    }
  }

  std::shared_ptr<Executor> executor_;

 private:
  void start() {
    engine_->busy = true;
    ++store_->runs;
    Queue();
  }

  // False where the environment is being torn down and runs no JavaScript: nobody waits for the result any more.
  bool try_settle(Napi::Env env) {
    try {
      const Napi::HandleScope scope(env);
      try {
        if (status_ != Status::ok) {
          deferred_.Reject(to_js(env, status_, message_).Value());
        } else {
          deferred_.Resolve(result(env));
        }
      } catch (const Napi::Error& error) {
        deferred_.Reject(error.Value());  // no room for the outputs
      }
      return true;
    } catch (...) {
      return false;
    }
  }

  std::shared_ptr<EngineState> engine_;
  std::shared_ptr<StoreState> store_;
  Napi::Promise::Deferred deferred_;
  Status status_ = Status::ok;
  std::string message_;
};

// One run with given inputs.
class RunWork : public Work {
 public:
  RunWork(Napi::Env env, std::shared_ptr<EngineState> engine, std::shared_ptr<StoreState> store, std::shared_ptr<Executor> executor,
          std::unique_ptr<Executor::Run> run)
      : Work(env, "shortlist.run", std::move(engine), std::move(store), std::move(executor)), run_(std::move(run)) {}

 protected:
  void compute() override { executor_->execute(*run_); }

  Napi::Value result(Napi::Env env) override {
    Napi::Object outputs = Napi::Object::New(env);
    for (const int tensor : executor_->outputs()) {
      const Tensor& value = executor_->output(tensor);
      void* data;
      outputs.Set(value.name, new_array(env, value.dtype, value.rows * value.columns, &data));
      executor_->copy_output(tensor, data);
    }
    return outputs;
  }

 private:
  std::unique_ptr<Executor::Run> run_;
};

// An input that no batch has: one element for all steps, or one for each.
struct ScalarInput {
  size_t input;  // index into Executor::inputs()
  std::vector<uint32_t> bits;
};

// Runs of consecutive batches, which a thread builds ahead.
class StepsWork : public Work {
 public:
  StepsWork(Napi::Env env, std::shared_ptr<EngineState> engine, std::shared_ptr<StoreState> store, std::shared_ptr<Executor> executor,
            Napi::ObjectReference batches, std::shared_ptr<Prefetch> prefetch, int64_t pass, int64_t index, int64_t steps, std::vector<ScalarInput> scalars)
      : Work(env, "shortlist.steps", std::move(engine), std::move(store), std::move(executor)),
        batches_(std::move(batches)),
        prefetch_(std::move(prefetch)),
        pass_(pass),
        index_(index),
        steps_(steps),
        scalars_(std::move(scalars)) {
    for (const int tensor : executor_->outputs()) {
      if (executor_->program().tensors[tensor].shape.empty()) outputs_.push_back({tensor, std::vector<uint32_t>(static_cast<size_t>(steps))});
    }
    dims_.resize(prefetch_->layout().dims.size(), std::vector<int32_t>(static_cast<size_t>(steps)));
  }

 protected:
  void compute() override {
    using Clock = std::chrono::steady_clock;
    for (int64_t i = 0; i < steps_; ++i) {
      const Clock::time_point start = Clock::now();
      std::unique_ptr<Prefetch::Step> step = prefetch_->take(pass_, index_ + i);
      seconds_waited_ += std::chrono::duration<double>(Clock::now() - start).count();
      for (const ScalarInput& scalar : scalars_) {
        const size_t from = scalar.bits.size() > 1 ? static_cast<size_t>(i) : 0;
        executor_->set_scalar(step->run.get(), scalar.input, scalar.bits[from]);
      }
      executor_->execute(*step->run);
      for (Output& output : outputs_) executor_->copy_output(output.tensor, &output.bits[static_cast<size_t>(i)]);
      for (size_t d = 0; d < dims_.size(); ++d) dims_[d][static_cast<size_t>(i)] = static_cast<int32_t>(step->dims[d]);
      prefetch_->recycle(std::move(step));
    }
  }

  // {outputs, dims, secondsWaited}: arrays of one element a step
  Napi::Value result(Napi::Env env) override {
    Napi::Object outputs = Napi::Object::New(env), dims = Napi::Object::New(env), result = Napi::Object::New(env);
    const auto set = [&](Napi::Object& object, const std::string& name, Dtype dtype, const void* values) {
      void* data;
      object.Set(name, new_array(env, dtype, steps_, &data));
      std::memcpy(data, values, static_cast<size_t>(steps_) * sizeof(uint32_t));
    };
    for (const Output& output : outputs_) {
      const TensorSpec& spec = executor_->program().tensors[output.tensor];
      set(outputs, spec.name, spec.dtype, output.bits.data());
    }
    for (size_t d = 0; d < dims_.size(); ++d) set(dims, prefetch_->layout().dims[d].name, Dtype::int32, dims_[d].data());
    result.Set("outputs", outputs);
    result.Set("dims", dims);
    result.Set("secondsWaited", Napi::Number::New(env, seconds_waited_));
    return result;
  }

 private:
  struct Output {
    int tensor;
    std::vector<uint32_t> bits;
  };

  Napi::ObjectReference batches_;  // keeps the clicks alive for the thread
  std::shared_ptr<Prefetch> prefetch_;
  int64_t pass_, index_, steps_;
  std::vector<ScalarInput> scalars_;
  std::vector<Output> outputs_;
  std::vector<std::vector<int32_t>> dims_;
  double seconds_waited_ = 0;
};

// ---- batches ----------------------------------------------------------------------------------------------------------

// Reads members of the plain objects that describe clicks and options.
class ObjectReader {
 public:
  ObjectReader(Napi::Env env, const Napi::Value& value, const char* what) : env_(env) {
    if (!value.IsObject()) fail(env, "Expected " + std::string(what) + " to be an object");
    object_ = value.As<Napi::Object>();
  }

  int64_t size(const char* name) const {
    int64_t size;
    if (!is_size(object_.Get(name), &size)) fail(env_, "Expected \"" + std::string(name) + "\" to be a whole number");
    return size;
  }
  double number(const char* name) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsNumber()) fail(env_, "Expected \"" + std::string(name) + "\" to be a number");
    return value.As<Napi::Number>().DoubleValue();
  }
  bool is(const char* name, const char* text) const {
    const Napi::Value value = object_.Get(name);
    return value.IsString() && value.As<Napi::String>().Utf8Value() == text;
  }
  // False where it is left out.
  bool flag(const char* name) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsBoolean() && !value.IsUndefined()) fail(env_, "Expected \"" + std::string(name) + "\" to be a boolean");
    return value.ToBoolean();
  }
  bool has(const char* name) const { return !object_.Get(name).IsUndefined(); }
  ObjectReader object(const char* name) const { return ObjectReader(env_, object_.Get(name), name); }
  std::string text(const char* name) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsString()) fail(env_, "Expected \"" + std::string(name) + "\" to be a string");
    return value.As<Napi::String>().Utf8Value();
  }
  std::vector<ObjectReader> list(const char* name) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsArray()) fail(env_, "Expected \"" + std::string(name) + "\" to be an array");
    std::vector<ObjectReader> members;
    for (uint32_t i = 0; i < value.As<Napi::Array>().Length(); ++i) members.emplace_back(env_, value.As<Napi::Array>().Get(i), name);
    return members;
  }
  // An array of this dtype and at least this many elements, which `kept` keeps alive.
  InputArray array(const char* name, Dtype dtype, int64_t elements, std::vector<Napi::ObjectReference>* kept) const {
    const Napi::Value value = object_.Get(name);
    const InputArray array = array_of(env_, value, name);
    if (array.dtype != dtype || array.elements < elements) {
      fail(env_, "Expected " + std::to_string(elements) + " elements of " + name_of(dtype) + " for \"" + name + "\"");
    }
    kept->push_back(Napi::Persistent(value.As<Napi::Object>()));
    return array;
  }
  // The same for a Float64Array, which no tensor is.
  const double* doubles(const char* name, int64_t elements, std::vector<Napi::ObjectReference>* kept) const {
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

 private:
  Napi::Env env_;
  Napi::Object object_;
};

// Training batches of clicks, whose arrays it shares with JavaScript: they must be neither changed nor transferred.
class NativeBatches : public Napi::ObjectWrap<NativeBatches> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeBatches",
                       {InstanceAccessor<&NativeBatches::samples_per_pass>("samplesPerPass"),
                        InstanceAccessor<&NativeBatches::batches_per_pass>("batchesPerPass"), InstanceMethod<&NativeBatches::batch>("batch")});
  }

  // (clicks, options): src/data/clicks.ts, Clicks; src/data/batches.ts, TrainingBatchOptions
  explicit NativeBatches(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const ObjectReader clicks(info.Env(), info[0], "clicks"), options(info.Env(), info[1], "options");
    BatchOptions read;
    read.window = options.size("window");
    read.batch_size = options.size("batchSize");
    read.growing = options.is("windows", "growing");
    read.shared = options.is("batching", "shared");
    read.max_part = options.has("maxPart") ? options.size("maxPart") : 0;
    read.seed = static_cast<uint32_t>(options.size("seed"));
    read.share_users = options.flag("shareUsers");
    read.share_items = options.flag("shareItems");
    batcher = guarded(info.Env(), [&] { return std::make_shared<Batcher>(read_clicks(clicks), read); });
    info.This().As<Napi::Object>().TypeTag(&kBatchesTag);
  }

  static NativeBatches* of(Napi::Env env, const Napi::Value& value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kBatchesTag)) fail(env, "Expected NativeBatches");
    return Unwrap(value.As<Napi::Object>());
  }

  std::shared_ptr<Batcher> batcher;

 private:
  Clicks read_clicks(const ObjectReader& from) {
    Clicks clicks;
    clicks.users = from.size("users");
    clicks.clicks = from.size("clicks");
    const auto ids = [&](const ObjectReader& object, const char* name, int64_t elements) {
      return object.array(name, Dtype::int32, elements, &kept_);
    };
    const auto pointer = [](const InputArray& array) { return static_cast<const int32_t*>(array.data); };
    clicks.offsets = pointer(ids(from, "clickOffsets", clicks.users + 1));
    for (const ObjectReader& feature : from.list("userFeatures")) {
      clicks.user_features.push_back({feature.text("name"), pointer(ids(feature, "ids", clicks.users))});
    }
    for (const ObjectReader& number : from.list("numbers")) {
      const InputArray values = number.array("values", Dtype::float32, clicks.users, &kept_);
      clicks.numbers.push_back({static_cast<const float*>(values.data), number.number("mean"), number.number("standardDeviation")});
    }
    if (from.has("times")) {
      const ObjectReader times = from.object("times");
      clicks.times = {times.doubles("values", clicks.clicks, &kept_), times.number("earliest"), times.number("latest")};
    }
    for (const ObjectReader& feature : from.list("itemFeatures")) {
      const bool multiple = feature.has("offsets");
      const InputArray values = ids(feature, "ids", multiple ? 0 : clicks.clicks);
      const int32_t* offsets = multiple ? pointer(ids(feature, "offsets", clicks.clicks + 1)) : nullptr;
      clicks.item_features.push_back({feature.text("name"), pointer(values), offsets, values.elements});
    }
    if (clicks.item_features.empty()) throw Error(Status::input, "Expected item features");
    return clicks;
  }

  Napi::Value samples_per_pass(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(batcher->samples_per_pass())); }
  Napi::Value batches_per_pass(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(batcher->batches_per_pass())); }

  // (pass, index): {dims, inputs}
  Napi::Value batch(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const int64_t pass = size_argument(info, 0, "pass"), index = size_argument(info, 1, "batch");
    Batch built = batcher->layout();
    guarded(env, [&] { batcher->build(pass, index, &built); });
    Napi::Object inputs = Napi::Object::New(env), dims = Napi::Object::New(env), batch = Napi::Object::New(env);
    for (const Batch::Input& input : built.inputs) {
      void* data;
      inputs.Set(input.name, new_array(env, input.dtype, input.elements.size(), &data));
      if (input.elements.size() > 0) std::memcpy(data, input.elements.data(), static_cast<size_t>(input.elements.size()) * sizeof(int32_t));
    }
    for (const Batch::Dim& dim : built.dims) dims.Set(dim.name, Napi::Number::New(env, static_cast<double>(dim.size)));
    batch.Set("dims", dims);
    batch.Set("inputs", inputs);
    return batch;
  }

  std::vector<Napi::ObjectReference> kept_;
};

class NativeExecutor : public Napi::ObjectWrap<NativeExecutor> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeExecutor",
                       {InstanceMethod<&NativeExecutor::run>("run"), InstanceMethod<&NativeExecutor::run_steps>("runSteps"),
                        InstanceMethod<&NativeExecutor::profile>("profile"), InstanceMethod<&NativeExecutor::close>("close")});
  }

  // (engine, store, program as JSON, profile)
  explicit NativeExecutor(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const Napi::Env env = info.Env();
    engine_ = NativeEngine::state_of(env, info[0]);
    store_ = NativeStore::state_of(env, info[1]);
    const std::string text = string_argument(info, 2, "program");
    if (!info[3].IsBoolean()) fail(env, "Expected profile to be a boolean");
    const bool profile = info[3].As<Napi::Boolean>().Value();
    if (!engine_->engine || !store_->store) throw to_js(env, Status::executor, "Expected an engine and a store that are open");
    executor_ = guarded(env, [&] { return std::make_shared<Executor>(parse_program(text), store_->store, engine_->engine, profile); });
    store_->report_bytes(env);
  }

 private:
  // (inputs, dims): a promise of the outputs
  Napi::Value run(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    expect_open(env);
    if (!info[0].IsObject() || !info[1].IsObject()) fail(env, "Expected inputs and dims to be objects");
    const Napi::Object given = info[0].As<Napi::Object>(), sizes_given = info[1].As<Napi::Object>();
    const Program& program = executor_->program();
    std::vector<int64_t> sizes;
    for (size_t i = 0; i < program.dims.size(); ++i) {
      const Napi::Value size = sizes_given.Get(program.dims[i]);
      sizes.push_back(-1);
      if (!is_size(size, &sizes.back()) && executor_->uses_dim(i)) {
        fail(env, "Expected a whole number for dim \"" + program.dims[i] + "\" but received " + size.ToString().Utf8Value());
      }
    }
    std::vector<InputArray> inputs;
    for (const int tensor : executor_->inputs()) {
      const std::string& name = program.tensors[tensor].name;
      const Napi::Value value = given.Get(name);
      inputs.push_back(value.IsUndefined() || value.IsNull() ? InputArray() : array_of(env, value, name));
    }
    std::unique_ptr<Executor::Run> run = guarded(env, [&] { return executor_->prepare(sizes, inputs); });
    return (new RunWork(env, engine_, store_, executor_, std::move(run)))->start_or_wait();
  }

  // (batches, pass, index, steps, scalars): a promise of {outputs, dims, secondsWaited}
  Napi::Value run_steps(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    expect_open(env);
    const NativeBatches* batches = NativeBatches::of(env, info[0]);
    const int64_t pass = size_argument(info, 1, "pass"), index = size_argument(info, 2, "index"), steps = size_argument(info, 3, "steps");
    if (!info[4].IsObject()) fail(env, "Expected scalars to be an object");
    if (!prefetch_ || batches_.Value() != info[0]) {
      prefetch_ = guarded(env, [&] { return std::make_shared<Prefetch>(batches->batcher, executor_); });
      batches_ = Napi::Persistent(info[0].As<Napi::Object>());
    }
    std::vector<ScalarInput> scalars;
    for (size_t i = 0; i < executor_->inputs().size(); ++i) {
      const TensorSpec& spec = executor_->program().tensors[executor_->inputs()[i]];
      const Napi::Value value = info[4].As<Napi::Object>().Get(spec.name);
      if (prefetch_->sources()[i] >= 0) continue;
      if (value.IsUndefined()) fail(env, "Missing input \"" + spec.name + "\"");
      const InputArray array = array_of(env, value, spec.name);
      if (array.dtype != spec.dtype || (array.elements != 1 && array.elements != steps)) {
        fail(env, "Expected 1 or " + std::to_string(steps) + " elements of " + name_of(spec.dtype) + " for input \"" + spec.name + "\"");
      }
      const uint32_t* bits = static_cast<const uint32_t*>(array.data);
      scalars.push_back({i, std::vector<uint32_t>(bits, bits + array.elements)});
    }
    Napi::ObjectReference kept = Napi::Persistent(info[0].As<Napi::Object>());
    return (new StepsWork(env, engine_, store_, executor_, std::move(kept), prefetch_, pass, index, steps, std::move(scalars)))->start_or_wait();
  }

  void expect_open(Napi::Env env) {
    if (!executor_) throw to_js(env, Status::executor, "The executor is closed");
  }

  // Ends the thread that builds batches and lets go of engine and store; what is running goes on.
  Napi::Value close(const Napi::CallbackInfo& info) {
    prefetch_.reset();
    batches_.Reset();
    executor_.reset();
    return info.Env().Undefined();
  }

  // Seconds by instruction; undefined where it is not asked for
  Napi::Value profile(const Napi::CallbackInfo& info) {
    expect_open(info.Env());
    const std::vector<double>& seconds = executor_->profile();
    Napi::Float64Array array = Napi::Float64Array::New(info.Env(), seconds.size());
    for (size_t i = 0; i < seconds.size(); ++i) array[i] = seconds[i];
    return array;
  }

  std::shared_ptr<EngineState> engine_;
  std::shared_ptr<StoreState> store_;
  std::shared_ptr<Executor> executor_;
  // For the batches that were used last, which it keeps alive.
  Napi::ObjectReference batches_;
  std::shared_ptr<Prefetch> prefetch_;
};

// ---- module ---------------------------------------------------------------------------------------------------------

Napi::Value version(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), SHORTLIST_VERSION); }

Napi::Value available_isas(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  for (const Isa& isa : usable_isas()) names.Set(names.Length(), Napi::String::New(info.Env(), isa.name));
  return names;
}

Napi::Array slots_of(Napi::Env env, const SlotType* slots) {
  Napi::Array list = Napi::Array::New(env);
  for (; slots->name != nullptr; ++slots) {
    Napi::Object slot = Napi::Object::New(env);
    slot.Set("name", slots->name);
    slot.Set("dtype", name_of(slots->dtype));
    if (slots->rank != kAnyRank) slot.Set("rank", Napi::Number::New(env, slots->rank));
    slot.Set("optional", Napi::Boolean::New(env, slots->optional));
    slot.Set("list", Napi::Boolean::New(env, slots->list));
    list.Set(list.Length(), slot);
  }
  return list;
}

// What the operand slots of each op take: {name, inputs, outputs}.
Napi::Value native_ops(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array ops = Napi::Array::New(env);
  for (const Op* const* op = usable_isas().front().ops; *op != nullptr; ++op) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", (*op)->name);
    entry.Set("inputs", slots_of(env, (*op)->inputs));
    entry.Set("outputs", slots_of(env, (*op)->outputs));
    ops.Set(ops.Length(), entry);
  }
  return ops;
}

// Nothing is static: each environment (the main one, every worker thread) gets its own classes and states.
Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::Function::New<version>(env, "version"));
  exports.Set("availableIsas", Napi::Function::New<available_isas>(env, "availableIsas"));
  exports.Set("ops", Napi::Function::New<native_ops>(env, "ops"));
  exports.Set("NativeEngine", NativeEngine::define(env));
  exports.Set("NativeStore", NativeStore::define(env));
  exports.Set("NativeBatches", NativeBatches::define(env));
  exports.Set("NativeExecutor", NativeExecutor::define(env));
  define_files(env, exports);
  return exports;
}

NODE_API_MODULE(shortlist, init)

}  // namespace
}  // namespace shortlist
