#include "native/node/run_work.h"

#include <utility>

#include "native/node/arguments.h"

namespace shortlist {

RunWork::RunWork(Napi::Env env, std::shared_ptr<EngineState> engine, std::shared_ptr<StoreState> store,
                 std::shared_ptr<Executor> executor, std::unique_ptr<Executor::Run> run)
    : Work(env, "shortlist.run", std::move(engine), std::move(store)),
      executor_(std::move(executor)),
      run_(std::move(run)) {}

void RunWork::compute() { executor_->execute(*run_); }

Napi::Value RunWork::result(Napi::Env env) {
  Napi::Object outputs = Napi::Object::New(env);
  for (const int tensor : executor_->outputs()) {
    const Tensor& value = executor_->output(tensor);
    void* data;
    outputs.Set(value.name, new_array(env, value.dtype, value.rows * value.columns, &data));
    executor_->copy_output(tensor, data);
  }
  return outputs;
}

}  // namespace shortlist
