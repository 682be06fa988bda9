#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "native/core/store.h"
#include "native/node/work.h"

namespace shortlist {

// A store and the queue of works over it. Used on the JavaScript thread only.
struct StoreState : WorkQueue {
  std::shared_ptr<Store> store = std::make_shared<Store>();  // nullptr after it was closed
  int searches = 0;  // open searches (item_search.h), which rely on tensors that do not change
  int64_t reported_bytes = 0;

  // Tells JavaScript's garbage collector how large the store is. Called when an executor starts to use the store: the
  // arrays that filled it are garbage by then, and under this memory pressure they are collected at once.
  void report_bytes(Napi::Env env);

  // Whether a work that writes the store runs or waits.
  bool will_be_written() const;
};

class NativeStore : public Napi::ObjectWrap<NativeStore> {
 public:
  static const napi_type_tag kTag;
  static constexpr const char* kExpected = "a NativeStore";

  static Napi::Function define(Napi::Env env);

  explicit NativeStore(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

  const std::shared_ptr<StoreState>& state() const { return state_; }

 private:
  Store& opened(Napi::Env env) const;
  void expect_idle(Napi::Env env, const char* what) const;
  void expect_unchanging(Napi::Env env) const;
  void expect_writable(Napi::Env env) const;

  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value define_tensor(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value read_into(const Napi::CallbackInfo& info);
  Napi::Value read_rows(const Napi::CallbackInfo& info);
  Napi::Value fill(const Napi::CallbackInfo& info);
  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value first_not_finite(const Napi::CallbackInfo& info);
  Napi::Value tensors(const Napi::CallbackInfo& info);

  std::shared_ptr<StoreState> state_;
};

}  // namespace shortlist
