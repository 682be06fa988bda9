#include "native/serve/user_run.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "native/core/error.h"

namespace shortlist {
namespace {

template <class Named>
const Named* find(const std::vector<Named>& list, const std::string& name) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Named& one) { return one.name == name; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace

void ExcludedItems::add_user(const int32_t* items, int64_t count) {
  const auto begin = ids.insert(ids.end(), items, items + count);
  std::sort(begin, ids.end());
  ids.erase(std::unique(begin, ids.end()), ids.end());
  const auto own = ids.begin() + offsets.back();
  if (own != ids.end() && *own == 0) ids.erase(own);
  offsets.push_back(static_cast<int32_t>(ids.size()));
}

void ExcludedItems::add_items(const std::vector<int32_t>& items) {
  ids.insert(ids.end(), items.begin(), items.end());
  if (ids.size() > INT32_MAX)
    throw Error(Status::input, "Expected at most " + std::to_string(INT32_MAX) + " excluded items of all users");
  offsets.back() = static_cast<int32_t>(ids.size());
}

std::vector<int32_t> known_items(const std::vector<int32_t>& items) {
  ExcludedItems list;
  list.add_user(items.data(), static_cast<int64_t>(items.size()));
  return std::move(list.ids);
}

Batch UserBatches::build(int64_t index) const {
  const int64_t first = index * batch_size, end = std::min(clicks.users, first + batch_size);
  BatchBuilder builder(clicks, history, BatchContents());
  Batch batch = builder.layout();
  builder.begin(&batch, end - first);
  for (int64_t user = first; user < end; ++user) {
    builder.add_isolated({clicks.offsets[user + 1], static_cast<int32_t>(user)});
  }
  builder.finish();
  return batch;
}

std::unique_ptr<RunInputs> prepare_users(const Executor& executor, const Batch& users, const RunExtras& extras) {
  const Program& program = executor.plan().program();
  std::vector<int64_t> sizes;
  for (const std::string& name : program.dims) {
    const Batch::Dim *own = find(users.dims, name), *extra = find(extras.dims, name);
    sizes.push_back(own ? own->size : extra ? extra->size : -1);
  }
  std::vector<InputArray> inputs;
  for (const int tensor : executor.plan().inputs()) {
    const std::string& name = program.tensors[tensor].name;
    inputs.emplace_back();
    if (const Batch::Input* const own = find(users.inputs, name)) {
      inputs.back() = {own->elements.data(), own->elements.size(), own->dtype, true};
    } else if (const RunExtras::Input* const extra = find(extras.inputs, name)) {
      inputs.back() = extra->array;
    }
  }
  return executor.prepare(sizes, inputs);
}

}  // namespace shortlist
