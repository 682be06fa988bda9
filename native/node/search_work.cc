#include "native/node/search_work.h"

#include <cstring>
#include <string>
#include <utility>

#include "native/node/arguments.h"

namespace shortlist {

const ItemSearch& LazySearch::get() {
  std::call_once(once_, [this] { search_.reset(new ItemSearch(device_, store_, vectors_, int8_)); });
  return *search_;
}

SearchWork::SearchWork(Napi::Env env, std::shared_ptr<StoreState> store, std::shared_ptr<LazySearch> search,
                       Arguments arguments)
    : Work(env, "shortlist.search", std::move(store), false),
      search_(std::move(search)),
      arguments_(std::move(arguments)) {}

void SearchWork::compute() {
  const InFlight run(search_->device());  // the queries and the search
  if (arguments_.compute_queries) {
    arguments_.queries = arguments_.compute_queries();
    const int64_t wanted = arguments_.count * search_->vectors().width;
    const int64_t elements = static_cast<int64_t>(arguments_.queries.size());
    if (elements != wanted) {
      throw Error(Status::input, "Expected queries of " + std::to_string(wanted) + " elements but the run computed " +
                                     std::to_string(elements));
    }
  }
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
  if (!arguments_.compute_queries) return result;
  const std::vector<float>& queries = arguments_.queries;
  result.Set("queries", new_array(env, Dtype::float32, static_cast<int64_t>(queries.size()), &data));
  if (!queries.empty()) std::memcpy(data, queries.data(), queries.size() * sizeof(float));
  return result;
}

}  // namespace shortlist
