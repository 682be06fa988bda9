#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "native/core/error.h"
#include "native/node/store.h"

namespace shortlist {

// Work over a store. It waits for its turn, is computed on a thread of libuv's pool, and settles its promise. Works
// start in the order in which they arrive. Those that only read the store are concurrent; there is at most one for each
// processor, so that Node's own work soon finds a free thread in the pool. Work that writes has the store for itself.
class Work : public Napi::AsyncWorker {
 public:
  // `is_alone`: whether the work needs the store for itself.
  Work(Napi::Env env, const char* name, std::shared_ptr<StoreState> store, bool is_alone);

  bool is_alone() const { return is_alone_; }

  // Starts the work or appends it to the store's queue. From then on it deletes itself.
  Napi::Promise start_or_wait();

 protected:
  // Called on a thread of the pool. An exception rejects the promise.
  virtual void compute() = 0;
  // Called on the JavaScript thread after `compute` has succeeded. Returns what the promise resolves to.
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
