#include "native/node/executor.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "native/core/program.h"
#include "native/node/arguments.h"
#include "native/node/batches.h"
#include "native/node/errors.h"
#include "native/node/run_work.h"
#include "native/node/steps_work.h"
#include "native/node/user_batches.h"

namespace shortlist {

const napi_type_tag NativeExecutor::kTag = {0x3b1f6c92d7a04e58, 0x8c25e07f914bd36a};

Napi::Function NativeExecutor::define(Napi::Env env) {
  return DefineClass(
      env, "NativeExecutor",
      {InstanceMethod<&NativeExecutor::run>("run"), InstanceMethod<&NativeExecutor::run_users>("runUsers"),
       InstanceMethod<&NativeExecutor::run_steps>("runSteps"), InstanceMethod<&NativeExecutor::profile>("profile"),
       InstanceMethod<&NativeExecutor::close>("close")});
}

NativeExecutor::NativeExecutor(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  info.This().As<Napi::Object>().TypeTag(&kTag);
  engine_ = unwrap<NativeEngine>(env, info[0])->state();
  store_ = unwrap<NativeStore>(env, info[1])->state();
  const std::string text = string_argument(info, 2, "program");
  if (!info[3].IsBoolean()) fail(env, "Expected profile to be a boolean");
  const bool profile = info[3].As<Napi::Boolean>().Value();
  if (!engine_->device || !store_->store) {
    throw to_js(env, Status::executor, "Expected an engine and a store that are open");
  }
  executor_ = guarded(
      env, [&] { return std::make_shared<Executor>(parse_program(text), store_->store, engine_->device, profile); });
  store_->report_bytes(env);
}

void NativeExecutor::expect_open(Napi::Env env) const {
  if (!executor_) throw to_js(env, Status::executor, "The executor is closed");
  if (!engine_->device) throw to_js(env, Status::executor, "The engine is closed");
  if (!store_->store) throw to_js(env, Status::executor, "The store is closed");
  if (store_->searches > 0 && executor_->plan().writes_store()) {
    throw to_js(env, Status::executor, "Expected no open search over the store while a run writes it: close it first");
  }
}

// Arguments: (inputs, dims). Returns a promise of the outputs by name.
Napi::Value NativeExecutor::run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  expect_open(env);
  if (!info[0].IsObject() || !info[1].IsObject()) fail(env, "Expected inputs and dims to be objects");
  const Napi::Object given = info[0].As<Napi::Object>(), given_sizes = info[1].As<Napi::Object>();
  const Plan& plan = executor_->plan();
  const Program& program = plan.program();
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < program.dims.size(); ++i) {
    const std::string& name = program.dims[i];
    const Napi::Value size = given_sizes.Get(name);
    sizes.push_back(-1);
    if (!is_size(size, &sizes.back()) && plan.uses_dim(i)) {
      fail(env, "Expected a whole number for dim \"" + name + "\" but received " + size.ToString().Utf8Value());
    }
  }
  std::vector<InputArray> inputs;
  for (const int tensor : plan.inputs()) {
    const std::string& name = program.tensors[tensor].name;
    const Napi::Value value = given.Get(name);
    inputs.push_back(value.IsUndefined() || value.IsNull() ? InputArray() : array_of(env, value, name));
  }
  // Copied now: JavaScript may change its arrays as soon as this returns.
  const auto prepared =
      std::make_shared<std::unique_ptr<RunInputs>>(guarded(env, [&] { return executor_->prepare(sizes, inputs); }));
  return (new RunWork(env, store_, executor_, [prepared](const Executor&) { return std::move(*prepared); }))
      ->start_or_wait();
}

// (batches, index, inputs, dims, here): a promise of the outputs. Inputs and dims are those that the batch does not
// have.
Napi::Value NativeExecutor::run_users(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  expect_open(env);
  const std::shared_ptr<const UserBatches> batches = unwrap<NativeUserBatches>(env, info[0])->batches();
  const int64_t index = batch_argument(info, 1, *batches);
  if (!info[2].IsObject() || !info[3].IsObject()) fail(env, "Expected inputs and dims to be objects");
  const auto extras = std::make_shared<RunExtras>();
  const auto copies = std::make_shared<std::vector<Memory>>();
  for (const auto& member : info[2].As<Napi::Object>()) {
    const std::string name = member.first.ToString();
    InputArray array = array_of(env, static_cast<Napi::Value>(member.second), name);
    copies->emplace_back(static_cast<size_t>(array.elements * kBytesPerElement));
    if (array.elements > 0)
      std::memcpy(copies->back().data(), array.data, static_cast<size_t>(array.elements * kBytesPerElement));
    array.data = copies->back().data();
    extras->inputs.push_back({name, array});
  }
  for (const auto& member : info[3].As<Napi::Object>()) {
    const std::string name = member.first.ToString();
    int64_t size;
    if (!is_size(member.second, &size)) fail(env, "Expected a whole number for dim \"" + name + "\"");
    extras->dims.push_back({name, size});
  }
  RunWork* const work = new RunWork(env, store_, executor_, [batches, index, extras, copies](const Executor& executor) {
    return prepare_users(executor, batches->build(index), *extras);
  });
  work->keep(info[0].As<Napi::Object>());
  return work->start_or_wait(info[4].ToBoolean());
}

NativeExecutor::Compute NativeExecutor::compute_users(Napi::Env env, const Napi::Value& batches, int64_t index,
                                                      const std::string& name) const {
  expect_open(env);
  const Plan& plan = executor_->plan();
  if (plan.writes_store()) throw to_js(env, Status::executor, "Expected a Program that changes no stored tensor");
  for (const int tensor : plan.outputs()) {
    const TensorSpec& output = plan.program().tensors[tensor];
    if (output.name != name || output.dtype != Dtype::float32) continue;
    const std::shared_ptr<const UserBatches> users = unwrap<NativeUserBatches>(env, batches)->batches();
    return [executor = executor_, users, index, tensor] {
      const RunOutputs run = executor->execute(*prepare_users(*executor, users->build(index), RunExtras()));
      const Tensor& value = run.at(tensor);
      std::vector<float> elements(static_cast<size_t>(value.rows * value.columns));
      run.copy(tensor, elements.data());
      return elements;
    };
  }
  fail(env, "Expected the Program to have a float32 output \"" + name + "\"");
}

// Arguments: (batches, epoch, index, steps, scalars). Returns a promise of {outputs, dims, secondsWaited}.
Napi::Value NativeExecutor::run_steps(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  expect_open(env);
  const int64_t epoch = size_argument(info, 1, "epoch"), index = size_argument(info, 2, "index");
  const int64_t count = size_argument(info, 3, "steps");
  if (!info[4].IsObject()) fail(env, "Expected scalars to be an object");
  use_batches(env, info[0]);
  std::vector<InputArray> scalars;
  for (const size_t input : loop_->scalar_inputs()) {
    const Plan& plan = executor_->plan();
    const std::string& name = plan.program().tensors[plan.inputs()[input]].name;
    const Napi::Value value = info[4].As<Napi::Object>().Get(name);
    scalars.push_back(value.IsUndefined() ? InputArray() : array_of(env, value, name));
  }
  StepLoop::Steps steps = guarded(env, [&] { return loop_->prepare(epoch, index, count, scalars); });
  Napi::ObjectReference kept = Napi::Persistent(info[0].As<Napi::Object>());
  return (new StepsWork(env, store_, std::move(kept), loop_, std::move(steps)))->start_or_wait();
}

// Creates a step loop over these batches, unless the current one uses them already.
void NativeExecutor::use_batches(Napi::Env env, const Napi::Value& batches) {
  const NativeBatches* native = unwrap<NativeBatches>(env, batches);
  if (loop_ && batches_.Value() == batches) return;
  loop_ = guarded(env, [&] { return std::make_shared<StepLoop>(native->batcher(), executor_); });
  batches_ = Napi::Persistent(batches.As<Napi::Object>());
}

// Ends the thread that builds batches and releases the engine and the store. Runs in flight finish first.
Napi::Value NativeExecutor::close(const Napi::CallbackInfo& info) {
  loop_.reset();
  batches_.Reset();
  executor_.reset();
  return info.Env().Undefined();
}

// Returns the seconds spent in each instruction; undefined if the executor does not profile.
Napi::Value NativeExecutor::profile(const Napi::CallbackInfo& info) {
  expect_open(info.Env());
  const std::vector<double> seconds = executor_->profile();
  Napi::Float64Array array = Napi::Float64Array::New(info.Env(), seconds.size());
  for (size_t i = 0; i < seconds.size(); ++i) array[i] = seconds[i];
  return array;
}

}  // namespace shortlist
