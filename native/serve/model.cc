#include "native/serve/model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "native/core/error.h"
#include "native/core/safetensors.h"
#include "native/core/text.h"
#include "native/serve/migrate.h"
#include "native/serve/user_table.h"

namespace shortlist {
namespace {

const char* const kConfig = "config.json";
const char* const kProgram = "program.json";
const char* const kWeights = "model.safetensors";
const char* const kOutputWeight = "output.weight";

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
  for (const std::string& name : Encoding::vocabulary_names(config.schema)) read_vocabulary(name);
  return Encoding(std::move(config), std::move(vocabularies));
}

Model::Model(const Folder& members, Encoding encoding, int threads)
    : encoding_(std::move(encoding)), history_{config().window, config().growing} {
  for (const Column& column : config().schema.columns) {
    if (column.kind != Column::Kind::clicks && column.kind != Column::Kind::ignored)
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
    user_vectors({&nobody});
    Candidates all;
    all.keep_watched = true;
    recommend({&nobody}, 1, all);
  });
}

// Every input is one that a run of users gives.
void Model::check_inputs(const Executor& executor) const {
  const Batch batch = BatchBuilder(UserTable(encoding_, history_).clicks(), history_, BatchContents()).layout();
  std::set<std::string> given = {"excluded", "excluded_offsets"};
  for (const Batch::Input& input : batch.inputs) given.insert(input.name);
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
  catalogue_ = Catalogue(encoding_, weights, path);
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

namespace {

// What is computed of weights that diverged, or of numbers far from those that the model was trained on, is no result.
void expect_finite(float number, const char* what) {
  if (std::isfinite(number)) return;
  throw Error(Status::model, "The user's " + std::string(what) +
                                 " are not finite: the training of the model diverged, or a number of the user " +
                                 "is far from those that it was trained on");
}

}  // namespace

RunOutputs Model::run(Executor& executor, const std::vector<const User*>& users, int64_t top,
                      const ExcludedItems& excluded) const {
  UserTable table(encoding_, history_);
  for (const User* user : users) table.add(*user);
  const auto array = [](const std::vector<int32_t>& ids) {
    return InputArray{ids.data(), static_cast<int64_t>(ids.size()), Dtype::int32, true};
  };
  RunExtras extras;
  extras.inputs = {{"excluded", array(excluded.ids)}, {"excluded_offsets", array(excluded.offsets)}};
  extras.dims = {{"excluded", static_cast<int64_t>(excluded.ids.size())}, {"top", top}};
  const UserBatches all{table.clicks(), history_, static_cast<int64_t>(users.size())};
  return executor.execute(*prepare_users(executor, all.build(0), extras));
}

std::vector<float> Model::user_vectors(const std::vector<const User*>& users) const {
  std::vector<float> vectors(users.size() * static_cast<size_t>(config().vector_width));
  if (users.empty()) return vectors;
  const RunOutputs outputs = run(*vector_, users, 0, ExcludedItems());
  const int output = vector_->plan().outputs().at(0);
  const Tensor& value = outputs.at(output);
  if (value.rows != static_cast<int64_t>(users.size()) || value.columns != config().vector_width)
    throw Error(Status::model, "The user vector has another width than config.json says");
  outputs.copy(output, vectors.data());
  for (const float element : vectors) expect_finite(element, "vector elements");
  return vectors;
}

// The scan of some items alone. It is made when it is first needed, because not every model that opens has its tables.
const ItemScan& Model::item_scan() const {
  std::call_once(scanned_, [&] { items_ = std::make_unique<ItemScan>(store_, device_); });
  return *items_;
}

std::vector<std::vector<Recommendation>> Model::recommend(const std::vector<const User*>& users, int64_t top,
                                                          const Candidates& candidates) const {
  if (users.empty()) return {};
  ExcludedItems excluded;
  for (const User* user : users) {
    const std::vector<int32_t>& items = user->values[0].ids;
    excluded.add_user(items.data(), candidates.keep_watched ? 0 : static_cast<int64_t>(items.size()));
    excluded.add_items(candidates.exclude);
  }
  if (candidates.only_allowed)
    return lists_of(item_scan().search(user_vectors(users), top, excluded, candidates.allow));
  const int64_t count = static_cast<int64_t>(users.size()), length = std::min(top, item_count());
  const RunOutputs outputs = run(*shortlist_, users, length, excluded);
  BestItems best(count, length);
  best.read(*shortlist_, outputs);
  for (const float log_partition : best.log_partition) expect_finite(log_partition, "scores");
  return lists_of(best);
}

std::vector<std::vector<Recommendation>> Model::lists_of(const BestItems& best) const {
  std::vector<std::vector<Recommendation>> lists(best.log_partition.size());
  for (size_t user = 0; user < lists.size(); ++user) {
    const size_t first = user * static_cast<size_t>(best.length);
    for (size_t i = first; i < first + static_cast<size_t>(best.length) && best.items[i] >= 0; ++i) {
      expect_finite(best.log_partition[user], "scores");
      expect_finite(best.scores[i], "scores");
      if (best.items[i] > item_count())
        throw Error(Status::model, "Output \"items\" has an id above those of the vocabulary");
      const double score = best.scores[i];
      const double probability = std::exp(score - static_cast<double>(best.log_partition[user]));
      lists[user].push_back({best.items[i], best.scores[i], probability});
    }
  }
  return lists;
}

std::vector<float> Model::score(const std::vector<const User*>& users, const std::vector<int32_t>& items) const {
  std::vector<float> scores(users.size() * items.size(), std::numeric_limits<float>::quiet_NaN());
  const std::vector<int32_t> known = known_items(items);
  if (users.empty() || known.empty()) return scores;
  ExcludedItems none;
  none.offsets.resize(users.size() + 1);
  const BestItems found = item_scan().search(user_vectors(users), item_count(), none, known);
  std::vector<float> of_known(known.size(), std::numeric_limits<float>::quiet_NaN());
  const auto index_of = [&](int32_t item) {
    return static_cast<size_t>(std::lower_bound(known.begin(), known.end(), item) - known.begin());
  };
  for (size_t user = 0; user < users.size(); ++user) {
    expect_finite(found.log_partition[user], "scores");
    const size_t first = user * known.size();
    for (size_t i = first; i < first + known.size(); ++i) {
      expect_finite(found.scores[i], "scores");
      of_known[index_of(found.items[i])] = found.scores[i];
    }
    for (size_t i = 0; i < items.size(); ++i) {
      if (items[i] > 0) scores[user * items.size() + i] = of_known[index_of(items[i])];
    }
  }
  return scores;
}

// A copy of the output weights, each row divided by its norm: SimilarityIndex of src/model/requests/similar.ts.
const ItemSearch& Model::unit_vectors() const {
  std::call_once(normalized_, [&] {
    const int64_t rows = item_count() + 1, width = vector_width();
    const auto vectors = std::make_shared<std::vector<float>>(static_cast<size_t>(rows * width));
    for (int64_t item = 1; item < rows; ++item) {
      float* const row = vectors->data() + item * width;
      store_->read(kOutputWeight, row, item * width, width);
      double square = 0;
      for (int64_t c = 0; c < width; ++c) square += static_cast<double>(row[c]) * row[c];
      const double norm = square > 0 ? std::sqrt(square) : 1;
      for (int64_t c = 0; c < width; ++c) row[c] = static_cast<float>(row[c] / norm);
    }
    const ItemVectors candidates = {vectors->data(), nullptr, rows, width, width, 1};
    unit_items_ = std::make_unique<ItemSearch>(device_, vectors, candidates, true);
  });
  return *unit_items_;
}

std::vector<std::vector<SimilarItem>> Model::similar(const std::vector<int32_t>& items, int64_t top,
                                                     const Candidates& candidates) const {
  std::vector<std::vector<SimilarItem>> lists(items.size());
  std::vector<size_t> asked;  // indices of the known items
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i] != 0) asked.push_back(i);
  }
  if (asked.empty()) return lists;
  const ItemSearch& search = unit_vectors();
  std::vector<float> queries;
  ExcludedItems excluded;
  for (const size_t i : asked) {
    const float* const row = search.vectors().weight + items[i] * vector_width();
    queries.insert(queries.end(), row, row + vector_width());
    excluded.add_user(&items[i], 1);
    excluded.add_items(candidates.exclude);
  }
  BestItems found(static_cast<int64_t>(asked.size()), std::min(top, item_count()));
  SearchRequest request = {queries.data(), static_cast<int64_t>(asked.size()), found.length, {}, {}, nullptr, nullptr};
  request.excluded = {excluded.ids.data(), excluded.offsets.data(), static_cast<int64_t>(excluded.ids.size()), true};
  if (candidates.only_allowed)
    request.allowed = {candidates.allow.data(), nullptr, static_cast<int64_t>(candidates.allow.size()), true};
  request.items = found.items.data();
  request.scores = found.scores.data();
  search.search(request);
  for (size_t q = 0; q < asked.size(); ++q) {
    const size_t first = q * static_cast<size_t>(found.length);
    for (size_t i = first; i < first + static_cast<size_t>(found.length) && found.items[i] >= 0; ++i) {
      expect_finite(found.scores[i], "similarities");
      lists[asked[q]].push_back({found.items[i], found.scores[i]});
    }
  }
  return lists;
}

void Model::add_item(User* user, const std::string& item) const {
  if (item.empty()) throw Error(Status::input, "Expected an item but received an empty text");
  check_text(click()[0].name, item);
  const bool missing = config().schema.missing.contains(item);
  catalogue_.add_click(encoding_, user, missing ? 0 : item_id(item));
}

}  // namespace shortlist
