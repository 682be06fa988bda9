#pragma once

#include <napi.h>

#include <functional>
#include <memory>

#include "native/data/ingest.h"
#include "native/node/work.h"

namespace shortlist {

// The JavaScript class that reads click logs (src/platform/ingest.ts). Its calls that return promises compute on
// other threads, one after the other.
class NativeIngest : public Napi::ObjectWrap<NativeIngest> {
 public:
  static Napi::Function define(Napi::Env env);

  // Arguments: (schema as JSON, options {withoutClicks, skipBadLines, maxLineBytes, threads}).
  explicit NativeIngest(const Napi::CallbackInfo& info);

 private:
  using Compute = std::function<void()>;
  using Result = std::function<Napi::Value(Napi::Env)>;

  Napi::Value begin_log(const Napi::CallbackInfo& info);
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value end_log(const Napi::CallbackInfo& info);
  Napi::Value state(const Napi::CallbackInfo& info);
  Napi::Value counts(const Napi::CallbackInfo& info);
  Napi::Value identities(const Napi::CallbackInfo& info);
  Napi::Value encode(const Napi::CallbackInfo& info);
  Napi::Value click_offsets(const Napi::CallbackInfo& info);
  Napi::Value numbers(const Napi::CallbackInfo& info);
  Napi::Value times(const Napi::CallbackInfo& info);
  Napi::Value weights(const Napi::CallbackInfo& info);
  Napi::Value click_numbers(const Napi::CallbackInfo& info);

  Ingest& idle(Napi::Env env) const;
  size_t feature_argument(const Napi::CallbackInfo& info, size_t i) const;
  template <class Array, class Take>
  Napi::Value take_array(Napi::Env env, int64_t elements, Take take);
  Napi::Value start(Napi::Env env, Compute compute, Result result);

  std::shared_ptr<Ingest> ingest_;
  std::shared_ptr<WorkQueue> queue_ = std::make_shared<WorkQueue>();
};

}  // namespace shortlist
