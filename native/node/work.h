#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "native/core/error.h"
#include "native/node/store.h"

namespace shortlist {

// Work over a store: waits for its turn, is computed off the JavaScript thread, and settles its promise. Works that
// only read the store are computed side by side, at most one for each processor, so that Node's own work finds a thread
// of libuv's pool soon; work that writes is alone. They start in the order in which they came.
class Work : public Napi::AsyncWorker {
 public:
  // `is_alone`: whether nothing else may run over the store meanwhile.
  Work(Napi::Env env, const char* name, std::shared_ptr<StoreState> store, bool is_alone);

  // Starts, or joins the store's queue. From here on the work deletes itself.
  Napi::Promise start_or_wait();

 protected:
  // Off the JavaScript thread; an exception rejects the promise.
  virtual void compute() = 0;
  // On the JavaScript thread, after `compute` has succeeded: what the promise resolves to.
  virtual Napi::Value result(Napi::Env env) = 0;

 private:
  void Execute() final;
  void OnWorkComplete(Napi::Env env, napi_status status) final;
  bool can_start() const;
  void start();
  bool try_settle(Napi::Env env);

  std::shared_ptr<StoreState> store_;
  bool is_alone_;
  Napi::Promise::Deferred deferred_;
  Status status_ = Status::ok;
  std::string message_;
};

}  // namespace shortlist
