#pragma once

#include <napi.h>

#include <memory>

#include "native/core/executor.h"
#include "native/node/engine.h"
#include "native/node/store.h"
#include "native/train/steps.h"

namespace shortlist {

class NativeExecutor : public Napi::ObjectWrap<NativeExecutor> {
 public:
  static Napi::Function define(Napi::Env env);

  // Arguments: (engine, store, program as JSON text, profile).
  explicit NativeExecutor(const Napi::CallbackInfo& info);

 private:
  void expect_open(Napi::Env env) const;
  void use_batches(Napi::Env env, const Napi::Value& batches);

  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value run_users(const Napi::CallbackInfo& info);
  Napi::Value run_steps(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value profile(const Napi::CallbackInfo& info);

  std::shared_ptr<EngineState> engine_;
  std::shared_ptr<StoreState> store_;
  std::shared_ptr<Executor> executor_;  // nullptr after it was closed
  // The batches of the last call of runSteps: the step loop reads their clicks.
  Napi::ObjectReference batches_;
  std::shared_ptr<StepLoop> loop_;
};

}  // namespace shortlist
