#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/core/executor.h"
#include "native/node/engine.h"
#include "native/node/store.h"
#include "native/train/steps.h"

namespace shortlist {

class NativeExecutor : public Napi::ObjectWrap<NativeExecutor> {
 public:
  static const napi_type_tag kTag;
  static constexpr const char* kExpected = "a NativeExecutor";

  static Napi::Function define(Napi::Env env);

  // Arguments: (engine, store, program as JSON text, profile).
  explicit NativeExecutor(const Napi::CallbackInfo& info);

  // Computes an output of a batch of users.
  using Compute = std::function<std::vector<float>()>;
  // Returns what computes float32 output `name` of batch `index` of `batches`, a NativeUserBatches that the caller
  // keeps alive, without further inputs. It runs on any thread. Throws if the executor is closed, writes its store, or
  // has no such output.
  Compute compute_users(Napi::Env env, const Napi::Value& batches, int64_t index, const std::string& name) const;

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
