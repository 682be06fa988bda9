#include "native/node/engine.h"

#include <string>

#include "native/node/arguments.h"
#include "native/node/errors.h"

namespace shortlist {
namespace {}  // namespace

const napi_type_tag NativeEngine::kTag = {0x6e0d1f4b5a8c4f21, 0x9a7be2c05d314e01};

Napi::Function NativeEngine::define(Napi::Env env) {
  return DefineClass(env, "NativeEngine",
                     {InstanceAccessor<&NativeEngine::threads>("threads"), InstanceAccessor<&NativeEngine::isa>("isa"),
                      InstanceMethod<&NativeEngine::close>("close")});
}

NativeEngine::NativeEngine(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const int64_t threads = size_argument(info, 0, "threads");
  const std::string isa = string_argument(info, 1, "isa");
  state_ = std::make_shared<EngineState>();
  state_->device = guarded(info.Env(), [&] { return std::make_shared<CpuDevice>(checked_thread_count(threads), isa); });
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

CpuDevice& NativeEngine::opened(Napi::Env env) const {
  if (!state_->device) throw to_js(env, Status::executor, "The engine is closed");
  return *state_->device;
}

Napi::Value NativeEngine::threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), opened(info.Env()).thread_count());
}

Napi::Value NativeEngine::isa(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), opened(info.Env()).isa());
}

// The threads end when the last executor of the engine is closed as well and its runs have finished.
Napi::Value NativeEngine::close(const Napi::CallbackInfo& info) {
  state_->device.reset();
  return info.Env().Undefined();
}

}  // namespace shortlist
