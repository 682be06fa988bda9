#include "native/serve/user_run.h"

#include <algorithm>
#include <string>

namespace shortlist {
namespace {

Batch build_users(const Clicks& clicks, const HistoryWindow& history, int64_t first, int64_t count) {
  BatchBuilder builder(clicks, history, BatchContents());
  Batch batch = builder.layout();
  builder.begin(&batch, count);
  for (int64_t user = first; user < first + count; ++user) {
    builder.add_isolated({clicks.offsets[user + 1], static_cast<int32_t>(user)});
  }
  builder.finish();
  return batch;
}

InputArray array_of(const std::vector<int32_t>& ids) {
  return {ids.data(), static_cast<int64_t>(ids.size()), Dtype::int32, true};
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

ExcludedItems watched_items(const Clicks& clicks, int64_t first, int64_t count) {
  ExcludedItems watched;
  for (int64_t user = first; user < first + count; ++user) {
    watched.add_user(clicks.item_features[0].ids + clicks.offsets[user],
                     clicks.offsets[user + 1] - clicks.offsets[user]);
  }
  return watched;
}

std::unique_ptr<RunInputs> prepare_users(const Executor& executor, const Clicks& clicks, const HistoryWindow& history,
                                         int64_t first, int64_t count, int64_t top, const ExcludedItems& excluded) {
  const Batch batch = build_users(clicks, history, first, count);
  const Program& program = executor.plan().program();
  std::vector<int64_t> sizes;
  for (const std::string& name : program.dims) {
    const auto found =
        std::find_if(batch.dims.begin(), batch.dims.end(), [&](const Batch::Dim& dim) { return dim.name == name; });
    sizes.push_back(found != batch.dims.end() ? found->size
                    : name == "top"           ? top
                    : name == "excluded"      ? static_cast<int64_t>(excluded.ids.size())
                                              : -1);
  }
  std::vector<InputArray> inputs;
  for (const int tensor : executor.plan().inputs()) {
    const std::string& name = program.tensors[tensor].name;
    const auto found = std::find_if(batch.inputs.begin(), batch.inputs.end(),
                                    [&](const Batch::Input& input) { return input.name == name; });
    inputs.emplace_back();
    if (name == "excluded") inputs.back() = array_of(excluded.ids);
    else if (name == "excluded_offsets") inputs.back() = array_of(excluded.offsets);
    else if (found != batch.inputs.end())
      inputs.back() = {found->elements.data(), found->elements.size(), found->dtype, true};
  }
  return executor.prepare(sizes, inputs);
}

}  // namespace shortlist
