#include "native/node/search_work.h"

#include <cstring>
#include <utility>

#include "native/node/arguments.h"

namespace shortlist {

SearchWork::SearchWork(Napi::Env env, std::shared_ptr<StoreState> store, std::shared_ptr<LazySearch> search,
                       Arguments arguments)
    : Work(env, "shortlist.search", std::move(store), false),
      search_(std::move(search)),
      arguments_(std::move(arguments)) {}

void SearchWork::compute() {
  const size_t results = static_cast<size_t>(arguments_.count * arguments_.top);
  items_.resize(results);
  scores_.resize(results);
  SearchRequest request;
  request.queries = arguments_.queries.data();
  request.count = arguments_.count;
  request.top = arguments_.top;
  request.excluded = arguments_.excluded.lists();
  request.allowed = arguments_.allowed.lists();
  request.items = items_.data();
  request.scores = scores_.data();
  search_->get().search(request);
}

Napi::Value SearchWork::result(Napi::Env env) {
  Napi::Object result = Napi::Object::New(env);
  void* data;
  result.Set("items", new_array(env, Dtype::int32, static_cast<int64_t>(items_.size()), &data));
  if (!items_.empty()) std::memcpy(data, items_.data(), items_.size() * sizeof(int32_t));
  result.Set("scores", new_array(env, Dtype::float32, static_cast<int64_t>(scores_.size()), &data));
  if (!scores_.empty()) std::memcpy(data, scores_.data(), scores_.size() * sizeof(float));
  return result;
}

}  // namespace shortlist
