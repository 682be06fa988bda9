#include "native/node/batches.h"

#include "native/node/arguments.h"
#include "native/node/clicks.h"
#include "native/node/errors.h"

namespace shortlist {
namespace {

BatchOptions read_options(const ObjectReader& from) {
  BatchOptions options;
  options.window = from.size("window");
  options.batch_size = from.size("batchSize");
  options.growing = from.is("windows", "growing");
  options.shared = from.is("batching", "shared");
  options.max_part = from.has("maxPart") ? from.size("maxPart") : 0;
  options.seed = static_cast<uint32_t>(from.size("seed"));
  options.group_users = from.flag("groupUsers");
  options.distinct_items = from.flag("distinctItems");
  options.world = from.has("world") ? from.size("world") : 1;
  options.rank = from.has("rank") ? from.size("rank") : 0;
  return options;
}

}  // namespace

const napi_type_tag NativeBatches::kTag = {0x6e0d1f4b5a8c4f21, 0x9a7be2c05d314e03};

Napi::Function NativeBatches::define(Napi::Env env) {
  return DefineClass(env, "NativeBatches",
                     {InstanceAccessor<&NativeBatches::samples_per_epoch>("samplesPerEpoch"),
                      InstanceAccessor<&NativeBatches::batches_per_epoch>("batchesPerEpoch"),
                      InstanceMethod<&NativeBatches::batch>("batch")});
}

NativeBatches::NativeBatches(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const ObjectReader clicks(info.Env(), info[0], "clicks"), options(info.Env(), info[1], "options");
  const BatchOptions read = read_options(options);
  batcher_ = guarded(info.Env(), [&] { return std::make_shared<Batcher>(read_clicks(clicks, &kept_), read); });
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

Napi::Value NativeBatches::samples_per_epoch(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(batcher_->samples_per_epoch()));
}

Napi::Value NativeBatches::batches_per_epoch(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(batcher_->batches_per_epoch()));
}

// Arguments: (epoch, index). Returns {dims, inputs}.
Napi::Value NativeBatches::batch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int64_t epoch = size_argument(info, 0, "epoch"), index = size_argument(info, 1, "batch");
  Batch built = batcher_->layout();
  guarded(env, [&] { batcher_->build(epoch, index, &built); });
  return batch_to_js(env, built);
}

}  // namespace shortlist
