#include "native/serve/item_scan.h"

#include <algorithm>
#include <string>
#include <utility>

#include "native/core/error.h"
#include "native/core/program.h"

namespace shortlist {
namespace {

// scanProgram of src/model/programs.ts, for a table with so many rows and columns.
const char* const kScanProgram = R"({"format":"shortlist-program","version":2,
  "dims":["chosen","excluded","samples","top"],
  "tensors":[
    {"name":"output.weight","dtype":"float32","shape":[ROWS,WIDTH],"role":"constant"},
    {"name":"vectors","dtype":"float32","shape":["samples",WIDTH],"role":"input"},
    {"name":"chosen","dtype":"int32","shape":["chosen"],"role":"input"},
    {"name":"chosen.rows","dtype":"float32","shape":["chosen",WIDTH],"role":"temporary"},
    {"name":"bias","dtype":"float32","shape":["chosen"],"role":"input"},
    {"name":"excluded","dtype":"int32","shape":["excluded"],"role":"input"},
    {"name":"excluded_offsets","dtype":"int32","shape":["samples+1"],"role":"input"},
    {"name":"items","dtype":"int32","shape":["samples","top"],"role":"output"},
    {"name":"score","dtype":"float32","shape":["samples","top"],"role":"output"},
    {"name":"log_partition","dtype":"float32","shape":["samples"],"role":"output"}],
  "instructions":[
    {"op":"embedding_lookup","inputs":{"table":"output.weight","ids":"chosen"},"outputs":{"output":"chosen.rows"},
     "attributes":{}},
    {"op":"top_n","inputs":{"user":"vectors","weight":"chosen.rows","bias":"bias","excluded":"excluded",
     "excluded_offsets":"excluded_offsets"},"outputs":{"items":"items","score":"score","log_partition":"log_partition"},
     "attributes":{"skip_rows":0,"top":"top"}}]})";

Program scan_program(const Store& store) {
  const std::vector<int64_t>& shape = store.at("output.weight").shape;
  std::string text = kScanProgram;
  const auto fill_in = [&](const std::string& name, int64_t size) {
    for (size_t at; (at = text.find(name)) != std::string::npos;) text.replace(at, name.size(), std::to_string(size));
  };
  fill_in("ROWS", shape[0]);
  fill_in("WIDTH", shape[1]);
  return parse_program(text);
}

// The excluded items that are allowed at all, as indices into the allowed ones.
ExcludedItems among(const ExcludedItems& excluded, const std::vector<int32_t>& allow) {
  ExcludedItems indices;
  for (size_t user = 0; user + 1 < excluded.offsets.size(); ++user) {
    for (int32_t i = excluded.offsets[user]; i < excluded.offsets[user + 1]; ++i) {
      const auto found = std::lower_bound(allow.begin(), allow.end(), excluded.ids[static_cast<size_t>(i)]);
      if (found != allow.end() && *found == excluded.ids[static_cast<size_t>(i)])
        indices.ids.push_back(static_cast<int32_t>(found - allow.begin()));
    }
    indices.offsets.push_back(static_cast<int32_t>(indices.ids.size()));
  }
  return indices;
}

template <class Element>
InputArray array_of(const std::vector<Element>& elements, Dtype dtype) {
  return {elements.data(), static_cast<int64_t>(elements.size()), dtype, true};
}

}  // namespace

BestItems::BestItems(int64_t vectors, int64_t length)
    : length(length),
      items(static_cast<size_t>(vectors * length)),
      scores(items.size()),
      log_partition(static_cast<size_t>(vectors)) {}

void BestItems::read(const Executor& executor, const RunOutputs& outputs) {
  const Plan& plan = executor.plan();
  for (const int output : plan.outputs()) {
    const std::string& name = plan.program().tensors[output].name;
    const Tensor& value = outputs.at(output);
    const size_t expected = name == "log_partition" ? log_partition.size() : items.size();
    if (value.rows * value.columns != static_cast<int64_t>(expected))
      throw Error(Status::model, "Output \"" + name + "\" has an unexpected size");
    outputs.copy(output, name == "items"   ? static_cast<void*>(items.data())
                         : name == "score" ? scores.data()
                                           : log_partition.data());
  }
}

ItemScan::ItemScan(std::shared_ptr<Store> store, const std::shared_ptr<Device>& device)
    : store_(std::move(store)), executor_(std::make_unique<Executor>(scan_program(*store_), store_, device, false)) {}

BestItems ItemScan::search(const std::vector<float>& vectors, int64_t top, const ExcludedItems& excluded,
                           const std::vector<int32_t>& allow) const {
  const int64_t count = static_cast<int64_t>(excluded.offsets.size()) - 1;
  const int64_t candidates = static_cast<int64_t>(allow.size());
  BestItems found(count, std::min(top, candidates));
  if (count == 0 || found.length == 0) return found;
  const ExcludedItems left = among(excluded, allow);
  std::vector<float> biases(allow.size());
  store_->read_rows("output.bias", allow.data(), candidates, biases.data());
  RunExtras extras;
  extras.inputs = {{"vectors", array_of(vectors, Dtype::float32)},
                   {"chosen", array_of(allow, Dtype::int32)},
                   {"bias", array_of(biases, Dtype::float32)},
                   {"excluded", array_of(left.ids, Dtype::int32)},
                   {"excluded_offsets", array_of(left.offsets, Dtype::int32)}};
  extras.dims = {{"samples", count},
                 {"top", found.length},
                 {"excluded", static_cast<int64_t>(left.ids.size())},
                 {"chosen", candidates}};
  found.read(*executor_, executor_->execute(*prepare_users(*executor_, Batch(), extras)));
  for (int32_t& item : found.items) {
    if (item >= 0) item = allow[static_cast<size_t>(item)];
  }
  return found;
}

}  // namespace shortlist
