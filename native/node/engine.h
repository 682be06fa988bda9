#pragma once

#include <napi.h>

#include <memory>

#include "native/core/cpu_device.h"

namespace shortlist {

// The part of an engine that all its executors hold. Used on the JavaScript thread only.
struct EngineState {
  std::shared_ptr<CpuDevice> device;  // nullptr after the engine was closed
};

class NativeEngine : public Napi::ObjectWrap<NativeEngine> {
 public:
  static const napi_type_tag kTag;
  static constexpr const char* kExpected = "a NativeEngine";

  static Napi::Function define(Napi::Env env);

  // Arguments: (threads, isa).
  explicit NativeEngine(const Napi::CallbackInfo& info);

  const std::shared_ptr<EngineState>& state() const { return state_; }

 private:
  CpuDevice& opened(Napi::Env env) const;

  Napi::Value threads(const Napi::CallbackInfo& info);
  Napi::Value isa(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<EngineState> state_;
};

}  // namespace shortlist
