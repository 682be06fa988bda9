#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "native/data/batcher.h"
#include "native/node/object_reader.h"

namespace shortlist {

// The JavaScript class of training batches. It reads the clicks from the arrays of JavaScript, without a copy; they
// must not be changed or transferred while it exists.
class NativeBatches : public Napi::ObjectWrap<NativeBatches> {
 public:
  static const napi_type_tag kTag;
  static constexpr const char* kExpected = "NativeBatches";

  static Napi::Function define(Napi::Env env);

  // Arguments: (clicks, options), of types Clicks (src/data/clicks.ts) and TrainingBatchOptions (src/data/batches.ts).
  explicit NativeBatches(const Napi::CallbackInfo& info);

  const std::shared_ptr<Batcher>& batcher() const { return batcher_; }

 private:
  Napi::Value samples_per_epoch(const Napi::CallbackInfo& info);
  Napi::Value batches_per_epoch(const Napi::CallbackInfo& info);
  Napi::Value batch(const Napi::CallbackInfo& info);

  std::shared_ptr<Batcher> batcher_;
  std::vector<Napi::ObjectReference> kept_;  // keeps the arrays of the clicks alive
};

}  // namespace shortlist
