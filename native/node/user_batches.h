#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "native/serve/user_run.h"

namespace shortlist {

// Batches of users that an executor answers, a sample each. Their clicks share their arrays with JavaScript, which must
// neither change nor transfer them.
class NativeUserBatches : public Napi::ObjectWrap<NativeUserBatches> {
 public:
  static const napi_type_tag kTag;
  static constexpr const char* kExpected = "NativeUserBatches";

  static Napi::Function define(Napi::Env env);

  // (clicks, options): src/data/clicks.ts, Clicks; src/data/batches.ts, BatchOptions
  explicit NativeUserBatches(const Napi::CallbackInfo& info);

  const std::shared_ptr<const UserBatches>& batches() const { return batches_; }

 private:
  Napi::Value count(const Napi::CallbackInfo& info);
  Napi::Value batch(const Napi::CallbackInfo& info);

  std::shared_ptr<const UserBatches> batches_;
  std::vector<Napi::ObjectReference> kept_;  // the arrays of the clicks
};

// Argument `i` of a call as the index of one of these batches. Throws ERR_OPTION.
int64_t batch_argument(const Napi::CallbackInfo& info, size_t i, const UserBatches& batches);

}  // namespace shortlist
