#include "native/node/run_work.h"

#include <cstring>
#include <utility>

#include "native/node/arguments.h"

namespace shortlist {

RunWork::RunWork(Napi::Env env, std::shared_ptr<StoreState> store, std::shared_ptr<Executor> executor, Prepare prepare)
    : Work(env, "shortlist.run", std::move(store), executor->plan().writes_store()),
      executor_(std::move(executor)),
      prepare_(std::move(prepare)) {}

void RunWork::compute() {
  const RunOutputs run = executor_->execute(*prepare_(*executor_));
  for (const int tensor : executor_->plan().outputs()) {
    const Tensor& value = run.at(tensor);
    const int64_t elements = value.rows * value.columns;
    outputs_.push_back({value.name, value.dtype, elements, Memory(static_cast<size_t>(elements * kBytesPerElement))});
    run.copy(tensor, outputs_.back().values.data());
  }
}

Napi::Value RunWork::result(Napi::Env env) {
  Napi::Object outputs = Napi::Object::New(env);
  for (const Output& output : outputs_) {
    void* data;
    outputs.Set(output.name, new_array(env, output.dtype, output.elements, &data));
    if (output.elements > 0)
      std::memcpy(data, output.values.data(), static_cast<size_t>(output.elements * kBytesPerElement));
  }
  return outputs;
}

}  // namespace shortlist
