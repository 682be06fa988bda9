#include "native/serve/model.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "native/core/error.h"
#include "native/core/safetensors.h"
#include "native/core/text.h"
#include "native/serve/migrate.h"

namespace shortlist {
namespace {

const char* const kConfig = "config.json";
const char* const kProgram = "program.json";
const char* const kWeights = "model.safetensors";

// The errors of a part of the model, with its path.
template <class Body>
auto in_file(const std::string& path, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Error& error) {
    throw Error(Status::model, path + ": " + error.what());
  }
}

// In pieces: the tensor is not twice in memory.
void read_tensor(const Safetensors& weights, const Safetensors::Entry& entry, const TensorSpec& spec, Store* store) {
  std::vector<uint32_t> piece(static_cast<size_t>(std::min<int64_t>(entry.elements, int64_t{1} << 18)));
  for (int64_t first = 0; first < entry.elements;) {
    const int64_t count = std::min<int64_t>(entry.elements - first, static_cast<int64_t>(piece.size()));
    weights.read(entry, first * 4, count * 4, piece.data());
    store->write(spec.name, spec.dtype, piece.data(), first, count);
    first += count;
  }
}

// Named int32 and float32 arrays, as Executor::prepare takes them.
struct Inputs {
  std::unordered_map<std::string, std::vector<int32_t>> ids;
  std::vector<float> numbers;
  std::vector<float> example_age = {0, 0, 0};

  InputArray array(const std::string& name) const {
    if (name == "example_age")
      return {example_age.data(), static_cast<int64_t>(example_age.size()), Dtype::float32, true};
    if (name == "numbers") return {numbers.data(), static_cast<int64_t>(numbers.size()), Dtype::float32, true};
    const auto found = ids.find(name);
    if (found == ids.end()) return {};
    return {found->second.data(), static_cast<int64_t>(found->second.size()), Dtype::int32, true};
  }
};

}  // namespace

std::unique_ptr<Model> Model::open(const std::string& folder, int threads) {
  return read_folder(folder, [&](Folder& members) { return std::make_unique<Model>(members, threads); });
}

// config.json and the vocabularies.
Encoding Model::read_encoding(Folder& members) {
  const std::string path = members.path(kConfig), text = members.read(kConfig);
  Config config = in_file(path, [&] {
    const Json head = Json::parse(text);
    members.expect(head);
    return Config::parse(head);
  });
  std::vector<Vocabulary> vocabularies;
  const auto read_vocabulary = [&](const std::string& name) {
    const std::string member = "vocabulary/" + name + ".tsv";
    vocabularies.push_back(Vocabulary::parse(members.read(member), members.path(member)));
  };
  for (const std::string& name : config.schema.names_of(Column::Kind::categorical)) read_vocabulary(name);
  for (const ClickField& feature : config.schema.item_features()) read_vocabulary(feature.name);
  return Encoding(std::move(config), std::move(vocabularies));
}

Model::Model(const Folder& members, Encoding encoding, int threads) : encoding_(std::move(encoding)) {
  for (const Column& column : config().schema.columns) {
    if (column.kind == Column::Kind::categorical || column.kind == Column::Kind::number)
      user_features_.push_back(column.name);
  }
  const std::string program_path = members.path(kProgram), program_text = members.read(kProgram);
  device_ = std::make_shared<CpuDevice>(threads, "");
  store_ = std::make_shared<Store>();
  const Program program =
      in_file(program_path, [&] { return migrate_program(parse_program(program_text), config().version); });
  read_weights(members, program);
  in_file(program_path, [&] {
    vector_ = std::make_unique<Executor>(select_outputs(program, {"user_vector"}), store_, device_, false);
    shortlist_ = std::make_unique<Executor>(select_outputs(program, {"items", "score", "log_partition"}), store_,
                                            device_, false);
    for (const Executor* executor : {vector_.get(), shortlist_.get()}) check_inputs(*executor);
    // A run of a user of whom nothing is known shows what loading cannot: outputs of other sizes, broken attributes.
    const User nobody = encoding_.new_user();
    user_vector(nobody);
    recommend(nobody, 1, true);
  });
}

// Every input is one that `execute` gives.
void Model::check_inputs(const Executor& executor) const {
  std::set<std::string> given = {"sample_start", "sample_end",        "timestep_start",
                                 "timestep_end", "timestep_position", "sequence_offsets",
                                 "excluded",     "excluded_offsets",  "example_age"};
  for (const Column& column : config().schema.columns) {
    if (column.kind == Column::Kind::categorical) given.insert(column.name);
    if (column.kind == Column::Kind::number) given.insert("numbers");
  }
  for (const ClickField& field : config().schema.click) {
    if (field.is_time) continue;
    given.insert(field.name);
    if (field.multiple) given.insert(field.name + "_offsets");
  }
  for (const int tensor : executor.plan().inputs()) {
    const std::string& name = executor.plan().program().tensors[tensor].name;
    if (!given.count(name)) throw Error(Status::model, "Input \"" + name + "\" is no feature of config.json");
  }
  for (const int tensor : executor.plan().outputs()) {
    const TensorSpec& spec = executor.plan().program().tensors[tensor];
    if (spec.dtype != (spec.name == "items" ? Dtype::int32 : Dtype::float32))
      throw Error(Status::model, "Output \"" + spec.name + "\" is of another dtype");
  }
}

// The tensors that the Program keeps; others may stand beside them.
void Model::read_weights(const Folder& members, const Program& program) {
  const std::string path = members.path(kWeights);
  const auto fail = [&](const TensorSpec& spec, const std::string& problem) {
    throw Error(Status::model, path + ": " + quoted(spec.name) + " " + problem);
  };
  const Safetensors weights = members.tensors(kWeights);
  for (const TensorSpec& spec : program.tensors) {
    if (!stored(spec.role)) continue;
    const Safetensors::Entry* const entry = weights.find(spec.name);
    if (!entry) throw Error(Status::model, path + ": There is no tensor " + quoted(spec.name));
    std::vector<int64_t> shape;
    for (const Dim& dim : spec.shape) {
      if (!dim.fixed()) fail(spec, "has a shape that is not fixed");
      shape.push_back(dim.constant);
    }
    const char* const dtype = spec.dtype == Dtype::float32 ? "F32" : spec.dtype == Dtype::int32 ? "I32" : "U32";
    if (entry->shape != shape || entry->dtype != dtype) fail(spec, "has another shape or dtype than program.json says");
    const bool is_output = spec.name == "output.weight";
    const std::string feature = is_output                                     ? config().schema.click[0].name
                                : spec.name.compare(0, 10, "embedding.") == 0 ? spec.name.substr(10)
                                                                              : "";
    const Vocabulary* const vocabulary = encoding_.vocabulary(feature);
    if (vocabulary && (shape.empty() || shape[0] != vocabulary->size())) {
      fail(spec, "has another number of rows than its vocabulary has tokens");
    }
    if (is_output && (shape.size() != 2 || shape[1] != config().vector_width))
      fail(spec, "is not as wide as the user vector");
    store_->define(spec.name, spec.dtype, shape);
    read_tensor(weights, *entry, spec, store_.get());
    const int64_t broken = store_->first_not_finite(spec.name);
    if (broken >= 0)
      fail(spec, "is not finite at element " + std::to_string(broken) +
                     ": the training of the model diverged, or the file was changed");
  }
}

// The first click of the history that predicts the next one; src/data/batches.ts, Batch.
int64_t Model::history_start(const User& user) const {
  const int64_t window = config().window;
  const int64_t first = config().growing ? window * ((user.clicks + window - 1) / window - 2) : user.clicks - window;
  return std::max<int64_t>(0, first);
}

// One sample, its history as `history_start` says, or one position of <unk>; src/data/batches.ts, NextClickBatches.
RunOutputs Model::execute(Executor& executor, const User& user, int64_t top, bool keep_watched) const {
  const int64_t first = history_start(user);
  const int32_t positions = std::max<int32_t>(1, static_cast<int32_t>(user.clicks - first));
  Inputs inputs;
  std::unordered_map<std::string, int64_t> dims = {
      {"samples", 1}, {"positions", positions}, {"sequences", 1}, {"timesteps", positions}, {"top", top}};
  const std::vector<std::string> categorical = config().schema.names_of(Column::Kind::categorical);
  for (size_t f = 0; f < categorical.size(); ++f) inputs.ids[categorical[f]] = {user.tokens[f]};
  for (size_t f = 0; f < user.numbers.size(); ++f) {
    const NumberStatistics& number = config().numbers[f];
    const double scale = number.deviation > 0 ? 1 / number.deviation : 1, value = user.numbers[f];
    inputs.numbers.push_back(std::isnan(value) ? 0 : static_cast<float>((value - number.mean) * scale));
  }
  const std::vector<ClickField> features = config().schema.item_features();
  for (size_t f = 0; f < features.size(); ++f) {
    const User::Values& values = user.values[f];
    std::vector<int32_t>& ids = inputs.ids[features[f].name];
    std::vector<int32_t> offsets = {0};
    int64_t begin = first, end = user.clicks;
    if (features[f].multiple) {
      begin = values.offsets[static_cast<size_t>(first)];
      end = values.offsets.back();
      for (int64_t click = first; click < user.clicks; ++click)
        offsets.push_back(values.offsets[static_cast<size_t>(click) + 1] - static_cast<int32_t>(begin));
    }
    ids.assign(values.ids.begin() + begin, values.ids.begin() + end);
    if (user.clicks == 0) {
      ids = {0};
      offsets.push_back(1);
    }
    if (!features[f].multiple) continue;
    dims[features[f].name] = static_cast<int64_t>(ids.size());
    inputs.ids[features[f].name + "_offsets"] = std::move(offsets);
  }
  inputs.ids["sample_start"] = inputs.ids["timestep_start"] = {0};
  inputs.ids["sample_end"] = inputs.ids["timestep_end"] = {positions};
  inputs.ids["sequence_offsets"] = {0, positions};
  std::vector<int32_t>& timesteps = inputs.ids["timestep_position"];
  for (int32_t position = 0; position < positions; ++position) timesteps.push_back(position);
  std::vector<int32_t>& excluded = inputs.ids["excluded"];
  for (const int32_t item : user.values[0].ids) {
    if (!keep_watched && item != 0) excluded.push_back(item);
  }
  std::sort(excluded.begin(), excluded.end());
  excluded.erase(std::unique(excluded.begin(), excluded.end()), excluded.end());
  dims["excluded"] = static_cast<int64_t>(excluded.size());
  inputs.ids["excluded_offsets"] = {0, static_cast<int32_t>(excluded.size())};

  std::vector<int64_t> sizes;
  for (const std::string& dim : executor.plan().program().dims) {
    const auto found = dims.find(dim);
    sizes.push_back(found == dims.end() ? 0 : found->second);
  }
  std::vector<InputArray> arrays;
  for (const int tensor : executor.plan().inputs())
    arrays.push_back(inputs.array(executor.plan().program().tensors[tensor].name));
  return executor.execute(*executor.prepare(sizes, arrays));
}

namespace {

// What is computed of weights that diverged, or of numbers far from those that the model was trained on, is no result.
void expect_finite(float number, const char* what) {
  if (std::isfinite(number)) return;
  throw Error(Status::model, "The user's " + std::string(what) +
                                 " are not finite: the training of the model diverged, or a number of the user " +
                                 "is far from those that it was trained on");
}

}  // namespace

std::vector<float> Model::user_vector(const User& user) const {
  const RunOutputs outputs = execute(*vector_, user, 0, false);
  const int output = vector_->plan().outputs().at(0);
  const Tensor& value = outputs.at(output);
  if (value.rows * value.columns != config().vector_width)
    throw Error(Status::model, "The user vector has another width than config.json says");
  std::vector<float> vector(static_cast<size_t>(config().vector_width));
  outputs.copy(output, vector.data());
  for (const float element : vector) expect_finite(element, "vector elements");
  return vector;
}

std::vector<Recommendation> Model::recommend(const User& user, int64_t top, bool keep_watched) const {
  const int64_t length = std::min(top, item_count());
  const RunOutputs outputs = execute(*shortlist_, user, length, keep_watched);
  std::vector<int32_t> items(static_cast<size_t>(length));
  std::vector<float> scores(static_cast<size_t>(length));
  float log_partition = 0;
  for (const int output : shortlist_->plan().outputs()) {
    const std::string& name = shortlist_->plan().program().tensors[output].name;
    const Tensor& value = outputs.at(output);
    if (value.rows * value.columns != (name == "log_partition" ? 1 : length))
      throw Error(Status::model, "Output \"" + name + "\" has an unexpected size");
    outputs.copy(output, name == "items"   ? static_cast<void*>(items.data())
                         : name == "score" ? scores.data()
                                           : &log_partition);
  }
  expect_finite(log_partition, "scores");
  std::vector<Recommendation> best;
  for (size_t i = 0; i < items.size() && items[i] >= 0; ++i) {
    expect_finite(scores[i], "scores");
    if (items[i] > item_count()) throw Error(Status::model, "Output \"items\" has an id above those of the vocabulary");
    const double probability = std::exp(static_cast<double>(scores[i]) - static_cast<double>(log_partition));
    best.push_back({items[i], scores[i], probability});
  }
  return best;
}

}  // namespace shortlist
