// The Node-API door: types and counts are checked here, the rest in native/core. src/executors/native.ts is its only
// caller. Native errors become JavaScript errors with a `code` of src/errors.ts.

#include <napi.h>

#include <cmath>
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

namespace shortlist {
namespace {

const napi_type_tag kEngineTag = {0x6e0d1f4b5a8c4f21, 0x9a7be2c05d314e01};
const napi_type_tag kStoreTag = {0x6e0d1f4b5a8c4f21, 0x9a7be2c05d314e02};

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

// A 4-byte typed array's elements. A detached one has no memory any more, so it is refused by name.
InputArray array_of(Napi::Env env, const Napi::Value& value, const std::string& name) {
  if (!value.IsTypedArray()) fail(env, "Expected a Float32Array, Int32Array or Uint32Array for \"" + name + "\"");
  const Napi::TypedArray array = value.As<Napi::TypedArray>();
  InputArray input;
  switch (array.TypedArrayType()) {
    case napi_float32_array: input.dtype = Dtype::float32; break;
    case napi_int32_array: input.dtype = Dtype::int32; break;
    case napi_uint32_array: input.dtype = Dtype::uint32; break;
    default: fail(env, "Expected a Float32Array, Int32Array or Uint32Array for \"" + name + "\"");
  }
  napi_value buffer;
  void* data = nullptr;
  size_t length = 0, offset = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, &buffer, &offset) != napi_ok) throw Napi::Error::New(env);
  bool detached = false;
  if (napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && detached) {
    fail(env, "Expected values for \"" + name + "\" but its buffer is detached");
  }
  input.data = data;
  input.elements = static_cast<int64_t>(length);
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

class RunWork;

// Runs of one engine take turns. All on the JavaScript thread.
struct EngineState {
  EngineState(int threads, const std::string& isa) : engine(std::make_shared<Engine>(threads, isa)) {}

  std::shared_ptr<Engine> engine;
  std::deque<RunWork*> waiting;
  bool busy = false;
};

class NativeEngine : public Napi::ObjectWrap<NativeEngine> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeEngine", {InstanceAccessor<&NativeEngine::threads>("threads"), InstanceAccessor<&NativeEngine::isa>("isa")});
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
  Napi::Value threads(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), state->engine->thread_count()); }
  Napi::Value isa(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), state->engine->isa()); }

  std::shared_ptr<EngineState> state;
};

// ---- store ----------------------------------------------------------------------------------------------------------

struct StoreState {
  std::shared_ptr<Store> store = std::make_shared<Store>();
  int runs = 0;  // handed to another thread; touched on the JavaScript thread only
};

class NativeStore : public Napi::ObjectWrap<NativeStore> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeStore",
                       {InstanceMethod<&NativeStore::define_tensor>("define"), InstanceMethod<&NativeStore::write>("write"),
                        InstanceMethod<&NativeStore::read>("read"), InstanceMethod<&NativeStore::tensors>("tensors")});
  }

  explicit NativeStore(const Napi::CallbackInfo& info) : ObjectWrap(info), state(std::make_shared<StoreState>()) {
    info.This().As<Napi::Object>().TypeTag(&kStoreTag);
  }

  static std::shared_ptr<StoreState> state_of(Napi::Env env, const Napi::Value& value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kStoreTag)) fail(env, "Expected a NativeStore");
    return Unwrap(value.As<Napi::Object>())->state;
  }

 private:
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
    guarded(env, [&] { state->store->define(name, dtype, shape); });
    return env.Undefined();
  }

  // (name, values, offset)
  Napi::Value write(const Napi::CallbackInfo& info) {
    const std::string name = string_argument(info, 0, "name");
    const InputArray values = array_of(info.Env(), info[1], name);
    const int64_t offset = size_argument(info, 2, "offset");
    expect_idle(info.Env(), "written");
    guarded(info.Env(), [&] { state->store->write(name, values.dtype, values.data, offset, values.elements); });
    return info.Env().Undefined();
  }

  // (name, offset, count): count undefined reads to the end
  Napi::Value read(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const std::string name = string_argument(info, 0, "name");
    const int64_t offset = size_argument(info, 1, "offset");
    expect_idle(env, "read");
    return guarded(env, [&] {
      const Store::Stored& stored = state->store->at(name);
      const int64_t count = info[2].IsUndefined() && offset <= stored.elements ? stored.elements - offset : size_argument(info, 2, "count");
      state->store->read(name, nullptr, offset, 0);
      if (count > stored.elements - offset) state->store->read(name, nullptr, offset, count);  // throws
      void* data;
      const Napi::Value values = new_array(env, stored.dtype, count, &data);
      state->store->read(name, data, offset, count);
      return values;
    });
  }

  Napi::Value tensors(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Napi::Array list = Napi::Array::New(env);
    for (const auto& stored : state->store->tensors()) {
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

// One run: waits for the engine's turn, is executed off the JavaScript thread, and settles its promise.
class RunWork : public Napi::AsyncWorker {
 public:
  RunWork(Napi::Env env, std::shared_ptr<EngineState> engine, std::shared_ptr<StoreState> store, std::shared_ptr<Executor> executor,
          std::unique_ptr<Executor::Run> run)
      : AsyncWorker(env, "shortlist.run"),
        engine_(std::move(engine)),
        store_(std::move(store)),
        executor_(std::move(executor)),
        run_(std::move(run)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void start_or_wait() {
    if (engine_->busy) {
      engine_->waiting.push_back(this);
    } else {
      start();
    }
  }

 protected:
  void Execute() override {
    try {
      executor_->execute(*run_);
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
      RunWork* next = engine->waiting.front();
      engine->waiting.pop_front();
      next->start();
    } else {
      for (RunWork* waiting : std::exchange(engine->waiting, {})) delete waiting;
    }
  }

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
        settle(env);
      } catch (const Napi::Error& error) {
        deferred_.Reject(error.Value());  // no room for the outputs
      }
      return true;
    } catch (...) {
      return false;
    }
  }

  void settle(Napi::Env env) {
    if (status_ != Status::ok) {
      deferred_.Reject(to_js(env, status_, message_).Value());
      return;
    }
    Napi::Object outputs = Napi::Object::New(env);
    for (const int tensor : executor_->outputs()) {
      const Tensor& value = executor_->output(tensor);
      void* data;
      outputs.Set(value.name, new_array(env, value.dtype, value.rows * value.columns, &data));
      executor_->copy_output(tensor, data);
    }
    deferred_.Resolve(outputs);
  }

  std::shared_ptr<EngineState> engine_;
  std::shared_ptr<StoreState> store_;
  std::shared_ptr<Executor> executor_;
  std::unique_ptr<Executor::Run> run_;
  Napi::Promise::Deferred deferred_;
  Status status_ = Status::ok;
  std::string message_;
};

class NativeExecutor : public Napi::ObjectWrap<NativeExecutor> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeExecutor", {InstanceMethod<&NativeExecutor::run>("run"), InstanceMethod<&NativeExecutor::profile>("profile")});
  }

  // (engine, store, program as JSON, profile)
  explicit NativeExecutor(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const Napi::Env env = info.Env();
    engine_ = NativeEngine::state_of(env, info[0]);
    store_ = NativeStore::state_of(env, info[1]);
    const std::string text = string_argument(info, 2, "program");
    if (!info[3].IsBoolean()) fail(env, "Expected profile to be a boolean");
    const bool profile = info[3].As<Napi::Boolean>().Value();
    executor_ = guarded(env, [&] { return std::make_shared<Executor>(parse_program(text), store_->store, engine_->engine, profile); });
  }

 private:
  // (inputs, dims): a promise of the outputs
  Napi::Value run(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
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
    RunWork* work = new RunWork(env, engine_, store_, executor_, std::move(run));
    const Napi::Promise promise = work->promise();
    work->start_or_wait();
    return promise;
  }

  // Seconds by instruction; undefined where it is not asked for
  Napi::Value profile(const Napi::CallbackInfo& info) {
    const std::vector<double>& seconds = executor_->profile();
    Napi::Float64Array array = Napi::Float64Array::New(info.Env(), seconds.size());
    for (size_t i = 0; i < seconds.size(); ++i) array[i] = seconds[i];
    return array;
  }

  std::shared_ptr<EngineState> engine_;
  std::shared_ptr<StoreState> store_;
  std::shared_ptr<Executor> executor_;
};

// ---- module ---------------------------------------------------------------------------------------------------------

Napi::Value version(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), SHORTLIST_VERSION); }

Napi::Value available_isas(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  for (const Isa& isa : usable_isas()) names.Set(names.Length(), Napi::String::New(info.Env(), isa.name));
  return names;
}

// Nothing is static: each environment (the main one, every worker thread) gets its own classes and states.
Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::Function::New<version>(env, "version"));
  exports.Set("availableIsas", Napi::Function::New<available_isas>(env, "availableIsas"));
  exports.Set("NativeEngine", NativeEngine::define(env));
  exports.Set("NativeStore", NativeStore::define(env));
  exports.Set("NativeExecutor", NativeExecutor::define(env));
  return exports;
}

NODE_API_MODULE(shortlist, init)

}  // namespace
}  // namespace shortlist
