#include "native/capi/model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "native/core/error.h"
#include "native/core/safetensors.h"

namespace shortlist {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) throw Error(Status::file, path + ": Cannot read the file");
  return text.str();
}

// The errors of a part of the model, with its path.
template <class Body>
auto in_file(const std::string& path, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Error& error) {
    throw Error(Status::model, path + ": " + error.what());
  }
}

const Json& member(const Json& object, const char* name) {
  const Json* found = object.find(name);
  if (!found) throw Error(Status::model, std::string("There is no \"") + name + "\"");
  return *found;
}

std::string text_of(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_string()) throw Error(Status::model, std::string("Expected \"") + name + "\" to be a string");
  return value.string();
}

int64_t size_of(const Json& object, const char* name) {
  int64_t size = 0;
  if (!member(object, name).to_size(&size) || size < 1) {
    throw Error(Status::model, std::string("Expected \"") + name + "\" to be a whole number above 0");
  }
  return size;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string::npos; begin = end + 1) parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

bool is_missing(const std::string& token) { return token.empty() || token == "NULL" || token == "<unk>"; }

Column::Kind kind_of(const std::string& name) {
  if (name == "categorical") return Column::Kind::categorical;
  if (name == "number") return Column::Kind::number;
  if (name == "clicks") return Column::Kind::clicks;
  if (name == "ignore") return Column::Kind::ignored;
  throw Error(Status::model, "Unknown kind of column \"" + name + "\"");
}

// Named int32 and float32 arrays, as Executor::prepare takes them.
struct Inputs {
  std::unordered_map<std::string, std::vector<int32_t>> ids;
  std::vector<float> numbers;

  InputArray array(const std::string& name) const {
    if (name == "numbers") return {numbers.data(), static_cast<int64_t>(numbers.size()), Dtype::float32, true};
    const auto found = ids.find(name);
    if (found == ids.end()) return {};
    return {found->second.data(), static_cast<int64_t>(found->second.size()), Dtype::int32, true};
  }
};

}  // namespace

Model::Model(const std::string& folder, int threads) {
  const std::string config = folder + "/config.json", program_path = folder + "/program.json";
  const std::string config_text = read_file(config), program_text = read_file(program_path);
  in_file(config, [&] { read_config(config_text); });
  for (const Column& column : columns_) {
    if (column.kind == Column::Kind::categorical) read_vocabulary(folder + "/vocabulary/" + column.name + ".tsv", column.name);
  }
  for (const ClickField& field : click_) read_vocabulary(folder + "/vocabulary/" + field.name + ".tsv", field.name);
  engine_ = std::make_shared<Engine>(threads, "");
  store_ = std::make_shared<Store>();
  const Program program = in_file(program_path, [&] { return parse_program(program_text); });
  read_weights(folder + "/model.safetensors", program);
  in_file(program_path, [&] {
    vector_ = std::make_unique<Executor>(select_outputs(program, {"user_vector"}), store_, engine_, false);
    shortlist_ = std::make_unique<Executor>(select_outputs(program, {"items", "score", "log_partition"}), store_, engine_, false);
  });
}

void Model::read_config(const std::string& text) {
  const Json head = Json::parse(text);
  if (text_of(head, "format") != "shortlist-model") throw Error(Status::model, "Expected format \"shortlist-model\"");
  int64_t version = 0;
  if (!member(head, "version").to_size(&version) || version != 1) throw Error(Status::model, "Expected version 1");
  const Json& config = member(head, "config");
  window_ = size_of(config, "window");
  vector_width_ = size_of(config, "userVectorWidth");
  const Json& schema = member(head, "schema");
  bool has_clicks = false;
  for (const Json& json : member(schema, "columns").items()) {
    Column column{text_of(json, "name"), kind_of(text_of(json, "kind"))};
    if (column.kind == Column::Kind::number) {
      const Json& statistics = member(member(head, "numbers"), column.name.c_str());
      column.mean = member(statistics, "mean").number();
      column.deviation = member(statistics, "standardDeviation").number();
    }
    has_clicks = has_clicks || column.kind == Column::Kind::clicks;
    columns_.push_back(std::move(column));
  }
  for (const Json& json : member(schema, "click").items()) click_.push_back({text_of(json, "name"), member(json, "multiple").boolean()});
  if (!has_clicks || click_.empty()) throw Error(Status::model, "Expected a schema with a column of clicks and their fields");
}

void Model::read_vocabulary(const std::string& path, const std::string& name) {
  const std::string text = read_file(path);
  Vocabulary& vocabulary = vocabularies_[name];
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const size_t tab = text.find('\t', begin);
    if (tab == std::string::npos || tab >= end) {
      throw Error(Status::model, path + ":" + std::to_string(vocabulary.tokens.size() + 1) + ": Expected a token, a tab and a count");
    }
    const int32_t id = static_cast<int32_t>(vocabulary.tokens.size());
    vocabulary.tokens.push_back(text.substr(begin, tab - begin));
    vocabulary.ids.emplace(vocabulary.tokens.back(), id);
  }
  if (begin != text.size() || vocabulary.tokens.empty() || vocabulary.tokens[0] != "<unk>") {
    throw Error(Status::model, path + ": Expected lines that begin with <unk>'s (the file is cut short)");
  }
}

void Model::read_weights(const std::string& path, const Program& program) {
  const Safetensors weights(path);
  for (const TensorSpec& spec : program.tensors) {
    if (!stored(spec.role)) continue;
    const Safetensors::Entry* entry = weights.find(spec.name);
    if (!entry) throw Error(Status::model, path + ": There is no tensor \"" + spec.name + "\"");
    std::vector<int64_t> shape;
    for (const Dim& dim : spec.shape) {
      if (!dim.fixed()) throw Error(Status::model, path + ": The shape of \"" + spec.name + "\" is not fixed");
      shape.push_back(dim.constant);
    }
    const char* dtype = spec.dtype == Dtype::float32 ? "F32" : spec.dtype == Dtype::int32 ? "I32" : "U32";
    if (entry->shape != shape || entry->dtype != dtype) {
      throw Error(Status::model, path + ": \"" + spec.name + "\" has another shape or dtype than program.json says");
    }
    store_->define(spec.name, spec.dtype, shape);
    store_->write(spec.name, spec.dtype, entry->data, 0, entry->elements);
    const bool is_output = spec.name == "output.weight";
    const std::string feature = is_output ? click_[0].name : spec.name.compare(0, 10, "embedding.") == 0 ? spec.name.substr(10) : "";
    const auto vocabulary = vocabularies_.find(feature);
    if (vocabulary != vocabularies_.end() && shape[0] != static_cast<int64_t>(vocabulary->second.tokens.size())) {
      throw Error(Status::model, path + ": \"" + spec.name + "\" has another number of rows than its vocabulary has tokens");
    }
    if (is_output && (shape.size() != 2 || shape[1] != vector_width_)) {
      throw Error(Status::model, path + ": \"output.weight\" is not as wide as the user vector");
    }
  }
}

User Model::new_user() const { return {std::vector<int32_t>(columns_.size(), 0), std::vector<float>(columns_.size(), 0), {}}; }

void Model::set_column(User& user, size_t column, const std::string& token) const {
  const Column& what = columns_[column];
  if (what.kind == Column::Kind::categorical) {
    user.tokens[column] = vocabularies_.at(what.name).id(token);
  } else if (what.kind == Column::Kind::number) {
    user.numbers[column] = 0;
    if (is_missing(token)) return;
    char* end = nullptr;
    const double value = std::strtod(token.c_str(), &end);
    if (*end != 0 || !std::isfinite(value)) throw Error(Status::input, "Expected a number for \"" + what.name + "\" but received \"" + token + "\"");
    const double rounded = static_cast<double>(static_cast<float>(value));  // a dataset holds float32
    user.numbers[column] = static_cast<float>((rounded - what.mean) / (what.deviation > 0 ? what.deviation : 1));
  }
}

void Model::set(User& user, const std::string& feature, const std::string& token) const {
  for (size_t column = 0; column < columns_.size(); ++column) {
    const Column::Kind kind = columns_[column].kind;
    if (columns_[column].name != feature || (kind != Column::Kind::categorical && kind != Column::Kind::number)) continue;
    set_column(user, column, token);
    return;
  }
  throw Error(Status::input, "The model has no user feature \"" + feature + "\"");
}

void Model::add_click(User& user, const std::vector<std::string>& tokens) const {
  if (tokens.size() != click_.size()) {
    throw Error(Status::input, "Expected " + std::to_string(click_.size()) + " fields of a click but received " + std::to_string(tokens.size()));
  }
  if (tokens[0].empty()) throw Error(Status::input, "Expected an item but received an empty field");
  std::vector<std::vector<int32_t>> ids(click_.size());
  for (size_t field = 0; field < click_.size(); ++field) {
    const Vocabulary& vocabulary = vocabularies_.at(click_[field].name);
    if (click_[field].multiple) {
      for (const std::string& token : split(tokens[field], '_')) ids[field].push_back(vocabulary.id(token));
    } else {
      ids[field].push_back(vocabulary.id(tokens[field]));
    }
  }
  user.clicks.push_back(std::move(ids));
}

User Model::parse_line(const std::string& line) const {
  size_t length = line.size();
  while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) --length;
  const std::vector<std::string> fields = split(line.substr(0, length), '\t');
  if (fields.size() != columns_.size()) {
    throw Error(Status::input, "Expected " + std::to_string(columns_.size()) + " fields but received " + std::to_string(fields.size()));
  }
  User user = new_user();
  for (size_t column = 0; column < columns_.size(); ++column) {
    if (columns_[column].kind == Column::Kind::clicks) {
      for (const std::string& click : split(fields[column], ';')) add_click(user, split(click, ':'));
    } else {
      set_column(user, column, fields[column]);
    }
  }
  return user;
}

// One sample, its history the last `window` clicks, or one position of <unk>; src/data/batches.ts, NextClickBatches.
void Model::execute(Executor& executor, const User& user, int64_t top, bool keep_watched) {
  const size_t first = user.clicks.size() > static_cast<size_t>(window_) ? user.clicks.size() - static_cast<size_t>(window_) : 0;
  const int32_t positions = std::max<int32_t>(1, static_cast<int32_t>(user.clicks.size() - first));
  Inputs inputs;
  std::unordered_map<std::string, int64_t> dims = {{"samples", 1}, {"positions", positions}, {"runs", 1}, {"steps", positions}, {"top", top}};
  for (size_t column = 0; column < columns_.size(); ++column) {
    if (columns_[column].kind == Column::Kind::categorical) inputs.ids[columns_[column].name] = {user.tokens[column]};
    if (columns_[column].kind == Column::Kind::number) inputs.numbers.push_back(user.numbers[column]);
  }
  for (size_t field = 0; field < click_.size(); ++field) {
    std::vector<int32_t>& ids = inputs.ids[click_[field].name];
    std::vector<int32_t> offsets = {0};
    for (size_t click = first; click < user.clicks.size(); ++click) {
      ids.insert(ids.end(), user.clicks[click][field].begin(), user.clicks[click][field].end());
      offsets.push_back(static_cast<int32_t>(ids.size()));
    }
    if (user.clicks.empty()) {
      ids = {0};
      offsets.push_back(1);
    }
    if (!click_[field].multiple) continue;
    dims[click_[field].name] = static_cast<int64_t>(ids.size());
    inputs.ids[click_[field].name + "_offsets"] = std::move(offsets);
  }
  inputs.ids["sample_start"] = inputs.ids["step_start"] = {0};
  inputs.ids["sample_end"] = inputs.ids["step_end"] = {positions};
  inputs.ids["run_offsets"] = {0, positions};
  std::vector<int32_t>& steps = inputs.ids["step_position"];
  for (int32_t position = 0; position < positions; ++position) steps.push_back(position);
  std::vector<int32_t>& excluded = inputs.ids["excluded"];
  for (const auto& click : user.clicks) {
    if (!keep_watched && click[0][0] != 0) excluded.push_back(click[0][0]);
  }
  std::sort(excluded.begin(), excluded.end());
  excluded.erase(std::unique(excluded.begin(), excluded.end()), excluded.end());
  dims["excluded"] = static_cast<int64_t>(excluded.size());
  inputs.ids["excluded_offsets"] = {0, static_cast<int32_t>(excluded.size())};

  std::vector<int64_t> sizes;
  for (const std::string& dim : executor.program().dims) {
    const auto found = dims.find(dim);
    sizes.push_back(found == dims.end() ? 0 : found->second);
  }
  std::vector<InputArray> arrays;
  for (const int tensor : executor.inputs()) arrays.push_back(inputs.array(executor.program().tensors[tensor].name));
  executor.execute(*executor.prepare(sizes, arrays));
}

std::vector<float> Model::user_vector(const User& user) {
  execute(*vector_, user, 0, false);
  std::vector<float> vector(static_cast<size_t>(vector_width_));
  const int output = vector_->outputs().at(0);
  const Tensor& value = vector_->output(output);
  if (value.rows * value.columns != vector_width_) throw Error(Status::model, "The user vector has another width than config.json says");
  vector_->copy_output(output, vector.data());
  return vector;
}

std::vector<Recommendation> Model::recommend(const User& user, int64_t top, bool keep_watched) {
  const int64_t length = std::min(top, item_count());
  execute(*shortlist_, user, length, keep_watched);
  std::vector<int32_t> items(static_cast<size_t>(length));
  std::vector<float> scores(static_cast<size_t>(length));
  float log_partition = 0;
  for (const int output : shortlist_->outputs()) {
    const std::string& name = shortlist_->program().tensors[output].name;
    const Tensor& value = shortlist_->output(output);
    if (value.rows * value.columns != (name == "log_partition" ? 1 : length)) throw Error(Status::model, "Output \"" + name + "\" has an unexpected size");
    shortlist_->copy_output(output, name == "items" ? static_cast<void*>(items.data()) : name == "score" ? scores.data() : &log_partition);
  }
  std::vector<Recommendation> best;
  for (size_t i = 0; i < items.size() && items[i] >= 0; ++i) {
    const double probability = std::exp(static_cast<double>(scores[i]) - static_cast<double>(log_partition));
    best.push_back({items[i], scores[i], probability});
  }
  return best;
}

}  // namespace shortlist
