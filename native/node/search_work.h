#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "native/node/store.h"
#include "native/node/work.h"
#include "native/retrieve/item_search.h"

namespace shortlist {

// A search that is created by its first use, on the thread of that use, because computing the vectors in 8 bits takes
// longer than JavaScript should wait.
class LazySearch {
 public:
  LazySearch(std::shared_ptr<CpuDevice> device, std::shared_ptr<Store> store, const ItemVectors& vectors, bool int8)
      : device_(std::move(device)), store_(std::move(store)), vectors_(vectors), int8_(int8) {}

  const ItemVectors& vectors() const { return vectors_; }
  Device* device() const { return device_.get(); }
  const ItemSearch& get();

 private:
  std::shared_ptr<CpuDevice> device_;
  std::shared_ptr<Store> store_;
  ItemVectors vectors_;
  bool int8_;
  std::once_flag once_;
  std::unique_ptr<ItemSearch> search_;
};

// A list argument of a search, copied: JavaScript may change its arrays as soon as the call returns.
struct CopiedLists {
  std::vector<int32_t> items;
  std::vector<int32_t> offsets;  // empty: one list for all queries
  bool given = false;

  ItemLists lists() const {
    return {items.data(), offsets.empty() ? nullptr : offsets.data(), static_cast<int64_t>(items.size()), given};
  }
};

// One call of a search. The promise resolves to {items, scores}, with computed queries to {items, scores, queries}.
class SearchWork : public Work {
 public:
  struct Arguments {
    std::vector<float> queries;
    // Computes the queries first, if given. They are then a part of the result.
    std::function<std::vector<float>()> compute_queries;
    int64_t count = 0;
    int64_t top = 0;
    CopiedLists excluded;
    CopiedLists allowed;
  };

  SearchWork(Napi::Env env, std::shared_ptr<StoreState> store, std::shared_ptr<LazySearch> search, Arguments arguments);
  // Keeps an object alive that `compute_queries` reads.
  void keep(const Napi::Object& object) { kept_ = Napi::Persistent(object); }

 protected:
  void compute() override;
  Napi::Value result(Napi::Env env) override;

 private:
  std::shared_ptr<LazySearch> search_;
  Arguments arguments_;
  Napi::ObjectReference kept_;
  std::vector<int32_t> items_;
  std::vector<float> scores_;
};

}  // namespace shortlist
