#include "native/serve/item_scan.h"

#include <algorithm>
#include <utility>

#include "native/core/error.h"
#include "native/core/program.h"

namespace shortlist {
namespace {

// scanProgram of src/model/programs.ts.
Program scan_program(const std::string& table, const Store& store, bool biased, bool chosen) {
  const std::vector<int64_t>& shape = store.at(table).shape;
  const std::string rows = std::to_string(shape[0]), width = std::to_string(shape[1]);
  const std::string candidates = chosen ? "\"chosen\"" : rows;
  std::string tensors, instructions;
  const auto tensor = [&](const std::string& name, const char* dtype, const std::string& sizes, const char* role) {
    tensors += std::string(tensors.empty() ? "" : ",") + R"({"name":")" + name + R"(","dtype":")" + dtype +
               R"(","shape":[)" + sizes + R"(],"role":")" + role + R"("})";
  };
  tensor(table, "float32", rows + "," + width, "constant");
  tensor("vectors", "float32", "\"samples\"," + width, "input");
  if (chosen) {
    tensor("chosen", "int32", candidates, "input");
    tensor("chosen.rows", "float32", candidates + "," + width, "temporary");
    instructions = R"({"op":"embedding_lookup","inputs":{"table":")" + table +
                   R"(","ids":"chosen"},"outputs":{"output":"chosen.rows"},"attributes":{}},)";
  }
  if (biased) tensor("bias", "float32", candidates, "input");
  tensor("excluded", "int32", R"("excluded")", "input");
  tensor("excluded_offsets", "int32", R"("samples+1")", "input");
  tensor("items", "int32", R"("samples","top")", "output");
  tensor("score", "float32", R"("samples","top")", "output");
  tensor("log_partition", "float32", R"("samples")", "output");
  instructions += R"({"op":"top_n","inputs":{"user":"vectors","weight":")" + (chosen ? "chosen.rows" : table) + "\"," +
                  (biased ? R"("bias":"bias",)" : "") +
                  R"("excluded":"excluded","excluded_offsets":"excluded_offsets"},"outputs":{"items":"items",)" +
                  R"("score":"score","log_partition":"log_partition"},"attributes":{"skip_rows":)" +
                  (chosen ? "0" : "1") + R"(,"top":"top"}})";
  return parse_program(R"({"format":"shortlist-program","version":2,"dims":[)" +
                       std::string(chosen ? R"("chosen",)" : "") + R"("excluded","samples","top"],"tensors":[)" +
                       tensors + R"(],"instructions":[)" + instructions + "]}");
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

ItemScan::ItemScan(std::shared_ptr<Store> store, const std::shared_ptr<Device>& device, std::string table,
                   std::string bias)
    : store_(std::move(store)), table_(std::move(table)), bias_(std::move(bias)) {
  for (const bool chosen : {false, true}) {
    (chosen ? chosen_ : all_) =
        std::make_unique<Executor>(scan_program(table_, *store_, !bias_.empty(), chosen), store_, device, false);
  }
}

ScannedItems ItemScan::search(const std::vector<float>& vectors, int64_t top, const ExcludedItems& excluded,
                              const std::vector<int32_t>* allow) const {
  const int64_t count = static_cast<int64_t>(excluded.offsets.size()) - 1, rows = store_->at(table_).shape[0];
  const int64_t candidates = allow ? static_cast<int64_t>(allow->size()) : rows - 1;
  ScannedItems found;
  found.length = std::min(top, candidates);
  found.items.resize(static_cast<size_t>(count * found.length));
  found.scores.resize(found.items.size());
  found.log_partition.resize(static_cast<size_t>(count));
  if (count == 0 || found.length == 0) return found;
  const ExcludedItems left = allow ? among(excluded, *allow) : excluded;
  RunExtras extras;
  extras.inputs = {{"vectors", array_of(vectors, Dtype::float32)},
                   {"excluded", array_of(left.ids, Dtype::int32)},
                   {"excluded_offsets", array_of(left.offsets, Dtype::int32)}};
  extras.dims = {{"samples", count}, {"top", found.length}, {"excluded", static_cast<int64_t>(left.ids.size())}};
  std::vector<float> biases;
  if (!bias_.empty()) {
    biases.resize(static_cast<size_t>(allow ? candidates : rows));
    if (allow) {
      store_->read_rows(bias_, allow->data(), candidates, biases.data());
    } else {
      store_->read(bias_, biases.data(), 0, rows);
    }
    extras.inputs.push_back({"bias", array_of(biases, Dtype::float32)});
  }
  if (allow) {
    extras.inputs.push_back({"chosen", array_of(*allow, Dtype::int32)});
    extras.dims.push_back({"chosen", candidates});
  }
  Executor& executor = allow ? *chosen_ : *all_;
  const RunOutputs outputs = executor.execute(*prepare_users(executor, Batch(), extras));
  for (const int output : executor.plan().outputs()) {
    const std::string& name = executor.plan().program().tensors[output].name;
    outputs.copy(output, name == "items"   ? static_cast<void*>(found.items.data())
                         : name == "score" ? found.scores.data()
                                           : found.log_partition.data());
  }
  if (allow) {
    for (int32_t& item : found.items) {
      if (item >= 0) item = (*allow)[static_cast<size_t>(item)];
    }
  }
  return found;
}

}  // namespace shortlist
