#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "native/node/item_search.h"
#include "native/node/work.h"

namespace shortlist {

// A list argument of a search, copied: JavaScript may change its arrays as soon as the call returns.
struct CopiedLists {
  std::vector<int32_t> items;
  std::vector<int32_t> offsets;  // empty: one list for all queries
  bool given = false;

  ItemLists lists() const {
    return {items.data(), offsets.empty() ? nullptr : offsets.data(), static_cast<int64_t>(items.size()), given};
  }
};

// One call of a search. The promise resolves to {items, scores}.
class SearchWork : public Work {
 public:
  struct Arguments {
    std::vector<float> queries;
    int64_t count = 0;
    int64_t top = 0;
    CopiedLists excluded;
    CopiedLists allowed;
  };

  SearchWork(Napi::Env env, std::shared_ptr<StoreState> store, std::shared_ptr<LazySearch> search, Arguments arguments);

 protected:
  void compute() override;
  Napi::Value result(Napi::Env env) override;

 private:
  std::shared_ptr<LazySearch> search_;
  Arguments arguments_;
  std::vector<int32_t> items_;
  std::vector<float> scores_;
};

}  // namespace shortlist
