#pragma once

#include <napi.h>

#include <deque>
#include <memory>
#include <string>

#include "native/core/error.h"

namespace shortlist {

class Work;

// The works over something that they share, such as a store. Used on the JavaScript thread only.
struct WorkQueue {
  int runs = 0;           // works in flight on other threads
  bool is_alone = false;  // whether the one in flight needs what they share for itself
  std::deque<Work*> waiting;
};

// Work over something that works share. It waits for its turn, is computed on a thread of libuv's pool, and settles its
// promise. (Two threads are woken for it, which takes longer than the smallest works.) Works start in the order in
// which they arrive. Those that only read are concurrent; there is at most one for each processor, so that Node's own
// work soon finds a free thread in the pool. Work that writes is alone.
class Work : public Napi::AsyncWorker {
 public:
  Work(Napi::Env env, const char* name, std::shared_ptr<WorkQueue> queue, bool is_alone);

  bool is_alone() const { return is_alone_; }

  // Starts the work or appends it to the queue. From then on it deletes itself. With `here`, it is computed on this
  // thread before this returns, unless other works are in flight.
  Napi::Promise start_or_wait(bool here = false);

 protected:
  // Called on a thread of the pool, or on the JavaScript thread. An exception rejects the promise.
  virtual void compute() = 0;
  // Called on the JavaScript thread after `compute` has succeeded. Returns what the promise resolves to.
  virtual Napi::Value result(Napi::Env env) = 0;

 private:
  void Execute() final;
  void OnWorkComplete(Napi::Env env, napi_status status) final;
  bool can_start() const;
  void begin();
  bool try_settle(Napi::Env env);

  std::shared_ptr<WorkQueue> queue_;
  bool is_alone_;
  Napi::Promise::Deferred deferred_;
  Status status_ = Status::ok;
  std::string message_;
};

}  // namespace shortlist
