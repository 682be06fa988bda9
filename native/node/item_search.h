#pragma once

#include <napi.h>

#include <memory>
#include <mutex>

#include "native/node/engine.h"
#include "native/node/store.h"
#include "native/retrieve/item_search.h"

namespace shortlist {

// A search that is created by its first use, on the thread of that use, because computing the vectors in 8 bits takes
// longer than JavaScript should wait.
class LazySearch {
 public:
  LazySearch(std::shared_ptr<CpuDevice> device, std::shared_ptr<Store> store, const ItemVectors& vectors, bool int8)
      : device_(std::move(device)), store_(std::move(store)), vectors_(vectors), int8_(int8) {}

  const ItemVectors& vectors() const { return vectors_; }
  const ItemSearch& get();

 private:
  std::shared_ptr<CpuDevice> device_;
  std::shared_ptr<Store> store_;
  ItemVectors vectors_;
  bool int8_;
  std::once_flag once_;
  std::unique_ptr<ItemSearch> search_;
};

class NativeItemSearch : public Napi::ObjectWrap<NativeItemSearch> {
 public:
  static Napi::Function define(Napi::Env env);

  // Arguments: (engine, store, {weight, bias?, skipRows, int8}). The store cannot be written until the search is
  // closed.
  explicit NativeItemSearch(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

 private:
  Napi::Value search(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  void release();

  std::shared_ptr<EngineState> engine_;
  std::shared_ptr<StoreState> store_;
  std::shared_ptr<LazySearch> search_;  // nullptr after it was closed
};

}  // namespace shortlist
