#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/core/executor.h"
#include "native/node/store.h"
#include "native/node/work.h"

namespace shortlist {

// One run of an executor. The promise resolves to the outputs by name.
class RunWork : public Work {
 public:
  // Makes the inputs of the run on the thread that runs it.
  using Prepare = std::function<std::unique_ptr<RunInputs>(const Executor&)>;

  RunWork(Napi::Env env, std::shared_ptr<StoreState> store, std::shared_ptr<Executor> executor, Prepare prepare);
  // Keeps an object alive that `prepare` reads.
  void keep(const Napi::Object& object) { kept_.push_back(Napi::Persistent(object)); }

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
  Prepare prepare_;
  std::vector<Napi::ObjectReference> kept_;
  std::vector<Output> outputs_;
};

}  // namespace shortlist
