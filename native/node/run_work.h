#pragma once

#include <memory>
#include <string>
#include <vector>

#include "native/core/executor.h"
#include "native/node/work.h"

namespace shortlist {

// One run of an executor with given inputs. The promise resolves to the outputs by name.
class RunWork : public Work {
 public:
  RunWork(Napi::Env env, std::shared_ptr<StoreState> store, std::shared_ptr<Executor> executor,
          std::unique_ptr<RunInputs> inputs);

 protected:
  void compute() override;
  Napi::Value result(Napi::Env env) override;

 private:
  // A copy of an output, so that the memory of the run is free for the next one before JavaScript receives the outputs.
  struct Output {
    std::string name;
    Dtype dtype;
    int64_t elements;
    Memory values;
  };

  std::shared_ptr<Executor> executor_;
  std::unique_ptr<RunInputs> inputs_;
  std::vector<Output> outputs_;
};

}  // namespace shortlist
