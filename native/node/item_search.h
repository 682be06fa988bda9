#pragma once

#include <napi.h>

#include <memory>

#include "native/node/engine.h"
#include "native/node/search_work.h"
#include "native/node/store.h"

namespace shortlist {

class NativeItemSearch : public Napi::ObjectWrap<NativeItemSearch> {
 public:
  static Napi::Function define(Napi::Env env);

  // Arguments: (engine, store, {weight, bias?, skipRows, int8}). The store cannot be written until the search is
  // closed.
  explicit NativeItemSearch(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

 private:
  void expect_open(Napi::Env env) const;
  SearchWork* work_of(const Napi::CallbackInfo& info, size_t i, SearchWork::Arguments arguments) const;

  Napi::Value search(const Napi::CallbackInfo& info);
  Napi::Value search_users(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  void release();

  std::shared_ptr<EngineState> engine_;
  std::shared_ptr<StoreState> store_;
  std::shared_ptr<LazySearch> search_;  // nullptr after it was closed
};

}  // namespace shortlist
