#include "native/node/load_work.h"

#include <utility>

namespace shortlist {

LoadWork::LoadWork(Napi::Env env, std::shared_ptr<StoreState> store, Arguments arguments)
    : Work(env, "shortlist.load", store, true), store_(store->store), arguments_(std::move(arguments)) {}

void LoadWork::compute() {
  const auto& [name, descriptor, path, position, offset, count] = arguments_;
  not_finite_ = store_->load(name, descriptor, path, position, offset, count);
}

Napi::Value LoadWork::result(Napi::Env env) { return Napi::Number::New(env, static_cast<double>(not_finite_)); }

}  // namespace shortlist
