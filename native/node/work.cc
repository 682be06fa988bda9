#include "native/node/work.h"

#include <utility>

#include "native/node/errors.h"

namespace shortlist {

Work::Work(Napi::Env env, const char* name, std::shared_ptr<EngineState> engine, std::shared_ptr<StoreState> store)
    : AsyncWorker(env, name),
      engine_(std::move(engine)),
      store_(std::move(store)),
      deferred_(Napi::Promise::Deferred::New(env)) {}

Napi::Promise Work::start_or_wait() {
  const Napi::Promise promise = deferred_.Promise();
  if (engine_->busy) {
    engine_->waiting.push_back(this);
  } else {
    start();
  }
  return promise;
}

void Work::start() {
  engine_->busy = true;
  ++store_->runs;
  Queue();
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

// Deletes this at its end, as AsyncWorker's own does.
void Work::OnWorkComplete(Napi::Env env, napi_status) {
  --store_->runs;
  engine_->busy = false;
  const bool alive = try_settle(env);
  std::shared_ptr<EngineState> engine = std::move(engine_);
  delete this;
  if (engine->busy || engine->waiting.empty()) return;
  if (alive) {
    Work* next = engine->waiting.front();
    engine->waiting.pop_front();
    next->start();
  } else {
    for (Work* waiting : std::exchange(engine->waiting, {})) delete waiting;
  }
}

// False where the environment is being torn down and runs no JavaScript: nobody waits for the result any more.
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
      deferred_.Reject(error.Value());  // no room for the outputs
    }
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace shortlist
