#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "native/core/error.h"
#include "native/node/engine.h"
#include "native/node/store.h"

namespace shortlist {

// Work on an engine and a store: waits for the engine's turn, is computed off the JavaScript thread, and settles its
// promise.
class Work : public Napi::AsyncWorker {
 public:
  Work(Napi::Env env, const char* name, std::shared_ptr<EngineState> engine, std::shared_ptr<StoreState> store);

  // Starts, or joins the engine's queue. From here on the work deletes itself.
  Napi::Promise start_or_wait();

 protected:
  // Off the JavaScript thread; an exception rejects the promise.
  virtual void compute() = 0;
  // On the JavaScript thread, after `compute` has succeeded: what the promise resolves to.
  virtual Napi::Value result(Napi::Env env) = 0;

 private:
  void Execute() final;
  void OnWorkComplete(Napi::Env env, napi_status status) final;
  void start();
  bool try_settle(Napi::Env env);

  std::shared_ptr<EngineState> engine_;
  std::shared_ptr<StoreState> store_;
  Napi::Promise::Deferred deferred_;
  Status status_ = Status::ok;
  std::string message_;
};

}  // namespace shortlist
