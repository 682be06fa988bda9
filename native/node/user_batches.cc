#include "native/node/user_batches.h"

#include <string>

#include "native/core/error.h"
#include "native/node/arguments.h"
#include "native/node/clicks.h"
#include "native/node/errors.h"

namespace shortlist {

const napi_type_tag NativeUserBatches::kTag = {0x2b8e60f47a1d4c93, 0xb05f9e3a7c6142d8};

Napi::Function NativeUserBatches::define(Napi::Env env) {
  return DefineClass(
      env, "NativeUserBatches",
      {InstanceAccessor<&NativeUserBatches::count>("batches"), InstanceMethod<&NativeUserBatches::batch>("batch")});
}

NativeUserBatches::NativeUserBatches(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const ObjectReader clicks(info.Env(), info[0], "clicks"), options(info.Env(), info[1], "options");
  batches_ = guarded(info.Env(), [&] {
    const HistoryWindow history{options.size("window"), options.is("windows", "growing")};
    const auto batches =
        std::make_shared<UserBatches>(UserBatches{read_clicks(clicks, &kept_), history, options.size("batchSize")});
    batches->clicks.check_offsets();
    if (history.window < 1 || batches->batch_size < 1)
      throw Error(Status::option, "Expected window and batchSize to be whole numbers above 0");
    return batches;
  });
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

Napi::Value NativeUserBatches::count(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(batches_->batches()));
}

// (index): {dims, inputs}
Napi::Value NativeUserBatches::batch(const Napi::CallbackInfo& info) {
  const int64_t index = batch_argument(info, 0, *batches_);
  return batch_to_js(info.Env(), guarded(info.Env(), [&] { return batches_->build(index); }));
}

int64_t batch_argument(const Napi::CallbackInfo& info, size_t i, const UserBatches& batches) {
  const int64_t index = size_argument(info, i, "batch");
  if (index < batches.batches()) return index;
  throw to_js(
      info.Env(), Status::option,
      "Expected batch from 0 to " + std::to_string(batches.batches() - 1) + " but received " + std::to_string(index));
}

}  // namespace shortlist
