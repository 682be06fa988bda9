#pragma once

#include <memory>

#include "native/core/executor.h"
#include "native/node/work.h"

namespace shortlist {

// One run with given inputs; resolves to the outputs by name.
class RunWork : public Work {
 public:
  RunWork(Napi::Env env, std::shared_ptr<EngineState> engine, std::shared_ptr<StoreState> store,
          std::shared_ptr<Executor> executor, std::unique_ptr<Executor::Run> run);

 protected:
  void compute() override;
  Napi::Value result(Napi::Env env) override;

 private:
  std::shared_ptr<Executor> executor_;
  std::unique_ptr<Executor::Run> run_;
};

}  // namespace shortlist
