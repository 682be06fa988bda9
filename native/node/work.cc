#include "native/node/work.h"

#include <utility>

#include "native/core/threads.h"
#include "native/node/errors.h"

namespace shortlist {
Work::Work(Napi::Env env, const char* name, std::shared_ptr<WorkQueue> queue, bool is_alone)
    : AsyncWorker(env, name),
      queue_(std::move(queue)),
      is_alone_(is_alone),
      deferred_(Napi::Promise::Deferred::New(env)) {}

Napi::Promise Work::start_or_wait(bool here) {
  const Napi::Promise promise = deferred_.Promise();
  if (!queue_->waiting.empty() || !can_start()) {
    queue_->waiting.push_back(this);
  } else if (here && queue_->runs == 0) {
    begin();
    Execute();
    OnWorkComplete(Env(), napi_ok);
  } else {
    begin();
    Queue();
  }
  return promise;
}

bool Work::can_start() const {
  if (is_alone_) return queue_->runs == 0;
  return !queue_->is_alone && queue_->runs < processor_count();
}

// Enters the work among those in flight.
void Work::begin() {
  queue_->is_alone = is_alone_;
  ++queue_->runs;
}

void Work::Execute() {
  try {
    compute();
  } catch (const Error& error) {
    status_ = error.status();
    message_ = error.what();
  } catch (const std::exception& error) {
    status_ = Status::executor;
    message_ = error.what();
  }
}

// Deletes this work at its end, as AsyncWorker::OnWorkComplete does.
void Work::OnWorkComplete(Napi::Env env, napi_status) {
  const std::shared_ptr<WorkQueue> queue = std::move(queue_);
  --queue->runs;
  queue->is_alone = false;
  const bool alive = try_settle(env);
  delete this;
  if (!alive) {
    for (Work* waiting : std::exchange(queue->waiting, {})) delete waiting;
  }
  while (!queue->waiting.empty() && queue->waiting.front()->can_start()) {
    Work* const next = queue->waiting.front();
    queue->waiting.pop_front();
    next->begin();
    next->Queue();
  }
}

// Settles the promise. Returns false if the environment is being torn down and runs no more JavaScript.
bool Work::try_settle(Napi::Env env) {
  try {
    const Napi::HandleScope scope(env);
    try {
      if (status_ != Status::ok) {
        deferred_.Reject(to_js(env, status_, message_).Value());
      } else {
        deferred_.Resolve(result(env));
      }
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());  // no memory for the outputs
    }
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace shortlist
