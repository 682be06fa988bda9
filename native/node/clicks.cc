#include "native/node/clicks.h"

#include <cstring>

#include "native/core/error.h"
#include "native/node/arguments.h"

namespace shortlist {
namespace {

const int32_t* ids_of(const InputArray& array) { return static_cast<const int32_t*>(array.data); }

Clicks::Number read_number(const ObjectReader& from, int64_t owners, std::vector<Napi::ObjectReference>* kept) {
  const InputArray values = from.array("values", Dtype::float32, owners, kept);
  return {static_cast<const float*>(values.data), from.number("mean"), from.number("standardDeviation")};
}

}  // namespace

Clicks read_clicks(const ObjectReader& from, std::vector<Napi::ObjectReference>* kept) {
  Clicks clicks;
  clicks.users = from.size("users");
  clicks.clicks = from.size("clicks");
  clicks.offsets = ids_of(from.array("clickOffsets", Dtype::int32, clicks.users + 1, kept));
  for (const ObjectReader& feature : from.list("userFeatures")) {
    const bool multiple = feature.has("offsets");
    const InputArray ids = feature.array("ids", Dtype::int32, multiple ? 0 : clicks.users, kept);
    const int32_t* offsets =
        multiple ? ids_of(feature.array("offsets", Dtype::int32, clicks.users + 1, kept)) : nullptr;
    clicks.user_features.push_back({feature.text("name"), ids_of(ids), offsets, ids.elements});
  }
  for (const ObjectReader& number : from.list("numbers"))
    clicks.numbers.push_back(read_number(number, clicks.users, kept));
  if (from.has("searches")) {
    for (const ObjectReader& searches : from.list("searches")) {
      const auto array = [&](const char* name, int64_t elements) {
        return searches.array(name, Dtype::int32, elements, kept);
      };
      const InputArray offsets = array("offsets", 1), ids = array("ids", 0);
      clicks.searches.push_back({searches.text("name"), ids_of(array("queryOffsets", clicks.users + 1)),
                                 ids_of(offsets), ids_of(ids),
                                 searches.has("before") ? ids_of(array("before", clicks.clicks)) : nullptr,
                                 offsets.elements - 1, ids.elements});
    }
  }
  if (from.has("times")) {
    const ObjectReader times = from.object("times");
    clicks.has_times = true;
    clicks.times = {times.doubles("values", clicks.clicks, kept), times.number("earliest"), times.number("latest")};
  }
  if (from.has("weights")) {
    const ObjectReader weights = from.object("weights");
    const InputArray values = weights.array("values", Dtype::float32, clicks.clicks, kept);
    clicks.weights = {weights.text("name"), static_cast<const float*>(values.data), weights.number("mean")};
  }
  if (from.has("clickNumbers")) {
    for (const ObjectReader& number : from.list("clickNumbers"))
      clicks.click_numbers.push_back({number.text("name"), read_number(number, clicks.clicks, kept)});
  }
  for (const ObjectReader& feature : from.list("itemFeatures")) {
    const bool multiple = feature.has("offsets");
    const InputArray values = feature.array("ids", Dtype::int32, multiple ? 0 : clicks.clicks, kept);
    const int32_t* offsets =
        multiple ? ids_of(feature.array("offsets", Dtype::int32, clicks.clicks + 1, kept)) : nullptr;
    clicks.item_features.push_back({feature.text("name"), ids_of(values), offsets, values.elements});
  }
  if (clicks.item_features.empty()) throw Error(Status::input, "Expected item features");
  if (from.has("targets")) clicks.targets = ids_of(from.array("targets", Dtype::int32, clicks.clicks, kept));
  return clicks;
}

Napi::Value batch_to_js(Napi::Env env, const Batch& built) {
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
