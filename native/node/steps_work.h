#pragma once

#include <memory>

#include "native/node/store.h"
#include "native/node/work.h"
#include "native/train/steps.h"

namespace shortlist {

// Training steps over consecutive batches. The promise resolves to {outputs, dims, secondsWaited}: StepsResult in
// src/executors/executor.ts.
class StepsWork : public Work {
 public:
  // `batches` is the JavaScript object whose clicks the loop reads; the reference keeps it alive.
  StepsWork(Napi::Env env, std::shared_ptr<StoreState> store, Napi::ObjectReference batches,
            std::shared_ptr<StepLoop> loop, StepLoop::Steps steps);

 protected:
  void compute() override;
  Napi::Value result(Napi::Env env) override;

 private:
  Napi::ObjectReference batches_;
  std::shared_ptr<StepLoop> loop_;
  StepLoop::Steps steps_;
  StepLoop::Result result_;
};

}  // namespace shortlist
