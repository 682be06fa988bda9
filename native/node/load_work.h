#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "native/node/store.h"
#include "native/node/work.h"

namespace shortlist {

// One call of Store::load. The promise resolves to its result.
class LoadWork : public Work {
 public:
  struct Arguments {
    std::string name;
    int descriptor;  // stays open until the promise is settled
    std::string path;
    int64_t position;
    int64_t offset;
    int64_t count;
  };

  LoadWork(Napi::Env env, std::shared_ptr<StoreState> store, Arguments arguments);

 protected:
  void compute() override;
  Napi::Value result(Napi::Env env) override;

 private:
  std::shared_ptr<Store> store_;
  Arguments arguments_;
  int64_t not_finite_ = -1;
};

}  // namespace shortlist
