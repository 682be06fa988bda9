#include "native/node/batches.h"

#include <cstring>

#include "native/core/error.h"
#include "native/node/arguments.h"
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

const int32_t* ids_of(const InputArray& array) { return static_cast<const int32_t*>(array.data); }

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
  batcher_ = guarded(info.Env(), [&] { return std::make_shared<Batcher>(read_clicks(clicks), read); });
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

Clicks NativeBatches::read_clicks(const ObjectReader& from) {
  Clicks clicks;
  clicks.users = from.size("users");
  clicks.clicks = from.size("clicks");
  clicks.offsets = ids_of(from.array("clickOffsets", Dtype::int32, clicks.users + 1, &kept_));
  for (const ObjectReader& feature : from.list("userFeatures")) {
    const InputArray ids = feature.array("ids", Dtype::int32, clicks.users, &kept_);
    clicks.user_features.push_back({feature.text("name"), ids_of(ids)});
  }
  for (const ObjectReader& number : from.list("numbers")) {
    const InputArray values = number.array("values", Dtype::float32, clicks.users, &kept_);
    clicks.numbers.push_back(
        {static_cast<const float*>(values.data), number.number("mean"), number.number("standardDeviation")});
  }
  if (from.has("times")) {
    const ObjectReader times = from.object("times");
    clicks.has_times = true;
    clicks.times = {times.doubles("values", clicks.clicks, &kept_), times.number("earliest"), times.number("latest")};
  }
  for (const ObjectReader& feature : from.list("itemFeatures")) {
    const bool multiple = feature.has("offsets");
    const InputArray values = feature.array("ids", Dtype::int32, multiple ? 0 : clicks.clicks, &kept_);
    const int32_t* offsets =
        multiple ? ids_of(feature.array("offsets", Dtype::int32, clicks.clicks + 1, &kept_)) : nullptr;
    clicks.item_features.push_back({feature.text("name"), ids_of(values), offsets, values.elements});
  }
  if (clicks.item_features.empty()) throw Error(Status::input, "Expected item features");
  return clicks;
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
  Napi::Object inputs = Napi::Object::New(env), dims = Napi::Object::New(env), batch = Napi::Object::New(env);
  for (const Batch::Input& input : built.inputs) {
    const int64_t elements = input.elements.size();
    void* data;
    inputs.Set(input.name, new_array(env, input.dtype, elements, &data));
    if (elements > 0) std::memcpy(data, input.elements.data(), static_cast<size_t>(elements) * sizeof(int32_t));
  }
  for (const Batch::Dim& dim : built.dims) dims.Set(dim.name, Napi::Number::New(env, static_cast<double>(dim.size)));
  batch.Set("dims", dims);
  batch.Set("inputs", inputs);
  return batch;
}

}  // namespace shortlist
