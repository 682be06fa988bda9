#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "native/data/batcher.h"
#include "native/node/object_reader.h"

namespace shortlist {

// Training batches of clicks, whose arrays it shares with JavaScript: they must be neither changed nor transferred.
class NativeBatches : public Napi::ObjectWrap<NativeBatches> {
 public:
  static const napi_type_tag kTag;
  static constexpr const char* kExpected = "NativeBatches";

  static Napi::Function define(Napi::Env env);

  // (clicks, options): src/data/clicks.ts, Clicks; src/data/batches.ts, TrainingBatchOptions
  explicit NativeBatches(const Napi::CallbackInfo& info);

  const std::shared_ptr<Batcher>& batcher() const { return batcher_; }

 private:
  Clicks read_clicks(const ObjectReader& from);

  Napi::Value samples_per_pass(const Napi::CallbackInfo& info);
  Napi::Value batches_per_pass(const Napi::CallbackInfo& info);
  Napi::Value batch(const Napi::CallbackInfo& info);

  std::shared_ptr<Batcher> batcher_;
  std::vector<Napi::ObjectReference> kept_;  // the arrays of the clicks
};

}  // namespace shortlist
