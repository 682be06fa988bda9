#include "native/node/steps_work.h"

#include <cstring>
#include <utility>

#include "native/node/arguments.h"

namespace shortlist {
namespace {

// The columns as an object {name: typed array}.
Napi::Object object_of(Napi::Env env, const std::vector<StepLoop::Column>& columns) {
  Napi::Object object = Napi::Object::New(env);
  for (const StepLoop::Column& column : columns) {
    void* data;
    object.Set(column.name, new_array(env, column.dtype, static_cast<int64_t>(column.bits.size()), &data));
    if (!column.bits.empty()) std::memcpy(data, column.bits.data(), column.bits.size() * sizeof(uint32_t));
  }
  return object;
}

}  // namespace

// It has the store for itself even if the Program only reads it, because only one call at a time may run a step loop.
StepsWork::StepsWork(Napi::Env env, std::shared_ptr<StoreState> store, Napi::ObjectReference batches,
                     std::shared_ptr<StepLoop> loop, StepLoop::Steps steps)
    : Work(env, "shortlist.steps", std::move(store), true),
      batches_(std::move(batches)),
      loop_(std::move(loop)),
      steps_(std::move(steps)) {}

void StepsWork::compute() { result_ = loop_->run(steps_); }

Napi::Value StepsWork::result(Napi::Env env) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("outputs", object_of(env, result_.outputs));
  result.Set("dims", object_of(env, result_.dims));
  result.Set("secondsWaited", Napi::Number::New(env, result_.seconds_waited));
  return result;
}

}  // namespace shortlist
