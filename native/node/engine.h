#pragma once

#include <napi.h>

#include <deque>
#include <memory>
#include <string>

#include "native/core/executor.h"

namespace shortlist {

class Work;

// An engine, and whose turn it is to run on it (work.h). Used on the JavaScript thread only.
struct EngineState {
  EngineState(int threads, const std::string& isa) : engine(std::make_shared<Engine>(threads, isa)) {}

  std::shared_ptr<Engine> engine;  // nullptr once it is closed
  std::deque<Work*> waiting;
  bool busy = false;
};

class NativeEngine : public Napi::ObjectWrap<NativeEngine> {
 public:
  static const napi_type_tag kTag;
  static constexpr const char* kExpected = "a NativeEngine";

  static Napi::Function define(Napi::Env env);

  // (threads, isa)
  explicit NativeEngine(const Napi::CallbackInfo& info);

  const std::shared_ptr<EngineState>& state() const { return state_; }

 private:
  Engine& opened(Napi::Env env) const;

  Napi::Value threads(const Napi::CallbackInfo& info);
  Napi::Value isa(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<EngineState> state_;
};

}  // namespace shortlist
