#include "native/capi/model.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <locale>
#include <set>
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

// The form that src/data/click_log.ts takes.
bool is_number(const std::string& text) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - begin;
  };
  const auto sign = [&] { at += at < text.size() && (text[at] == '+' || text[at] == '-'); };
  sign();
  size_t mantissa = digits();
  if (at < text.size() && text[at] == '.') {
    ++at;
    mantissa += digits();
  }
  if (mantissa == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    sign();
    if (digits() == 0) return false;
  }
  return at == text.size();
}

// Of a text that is_number; infinite where it is too large.
double to_number(const std::string& text) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  double value = 0;
  if (!(stream >> value) && std::abs(value) > 1) return HUGE_VAL;
  return value;
}

// The form that src/data/schema.ts asks for; also what makes a name safe as a part of a path.
std::string feature_name(const Json& json) {
  const std::string name = text_of(json, "name");
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  bool fits = !name.empty() && is_letter(name[0]);
  for (const char c : name) fits = fits && (is_letter(c) || (c >= '0' && c <= '9') || c == '_');
  if (!fits) throw Error(Status::model, "Expected a name of lower-case letters, digits and _ but received \"" + name + "\"");
  return name;
}

const std::vector<Json>& list_of(const Json& object, const char* name) {
  const Json& list = member(object, name);
  if (!list.is_array()) throw Error(Status::model, std::string("Expected \"") + name + "\" to be a list");
  return list.items();
}

double number_of(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_number()) throw Error(Status::model, std::string("Expected \"") + name + "\" to be a number");
  return value.number();
}

bool is_utf8(const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u; };
    const uint32_t first = byte(i);
    const int more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : (first & 0xf0) == 0xe0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : -1;
    if (more < 0) return false;
    uint32_t point = more == 0 ? first : first & (0x3fu >> more);
    for (int k = 1; k <= more; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return false;
      point = point << 6 | (byte(i + k) & 0x3f);
    }
    // Too long a form, a surrogate, or above the last code point.
    if ((more == 2 && point < 0x800) || (more == 3 && (point < 0x10000 || point > 0x10ffff)) || (point >= 0xd800 && point < 0xe000)) return false;
    i += static_cast<size_t>(more) + 1;
  }
  return true;
}

Column::Kind kind_of(const std::string& name) {
  if (name == "categorical") return Column::Kind::categorical;
  if (name == "number") return Column::Kind::number;
  if (name == "clicks") return Column::Kind::clicks;
  if (name == "ignore") return Column::Kind::ignored;
  throw Error(Status::model, "Unknown kind of column \"" + name + "\"");
}

// Every text that stands for a missing value; src/data/schema.ts, missingWords.
std::set<std::string> missing_words(const Json& schema) {
  std::set<std::string> words = {"", "<unk>"};
  if (!schema.find("missing")) {
    words.insert("NULL");
    return words;
  }
  for (const Json& word : list_of(schema, "missing")) {
    if (!word.is_string()) throw Error(Status::model, "Expected \"missing\" to be a list of words");
    words.insert(word.string());
  }
  return words;
}

// Named int32 and float32 arrays, as Executor::prepare takes them.
struct Inputs {
  std::unordered_map<std::string, std::vector<int32_t>> ids;
  std::vector<float> numbers;
  std::vector<float> example_age = {0, 0, 0};

  InputArray array(const std::string& name) const {
    if (name == "example_age") return {example_age.data(), static_cast<int64_t>(example_age.size()), Dtype::float32, true};
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
  for (const ClickField& field : click_) {
    if (!field.is_time) read_vocabulary(folder + "/vocabulary/" + field.name + ".tsv", field.name);
  }
  engine_ = std::make_shared<Engine>(threads, "");
  store_ = std::make_shared<Store>();
  const Program program = in_file(program_path, [&] { return parse_program(program_text); });
  read_weights(folder + "/model.safetensors", program);
  in_file(program_path, [&] {
    vector_ = std::make_unique<Executor>(select_outputs(program, {"user_vector"}), store_, engine_, false);
    shortlist_ = std::make_unique<Executor>(select_outputs(program, {"items", "score", "log_partition"}), store_, engine_, false);
    for (const Executor* executor : {vector_.get(), shortlist_.get()}) check_inputs(*executor);
    // A run of a user of whom nothing is known shows what loading cannot: outputs of other sizes, broken attributes.
    const User nobody = new_user();
    user_vector(nobody);
    recommend(nobody, 1, true);
  });
}

// Every input is one that `execute` gives.
void Model::check_inputs(const Executor& executor) const {
  std::set<std::string> given = {"sample_start", "sample_end", "step_start", "step_end", "step_position",
                                 "run_offsets", "excluded", "excluded_offsets", "example_age"};
  for (const Column& column : columns_) {
    if (column.kind == Column::Kind::categorical) given.insert(column.name);
    if (column.kind == Column::Kind::number) given.insert("numbers");
  }
  for (const ClickField& field : click_) {
    if (field.is_time) continue;
    given.insert(field.name);
    if (field.multiple) given.insert(field.name + "_offsets");
  }
  for (const int tensor : executor.inputs()) {
    const std::string& name = executor.program().tensors[tensor].name;
    if (!given.count(name)) throw Error(Status::model, "Input \"" + name + "\" is no feature of config.json");
  }
  for (const int tensor : executor.outputs()) {
    const TensorSpec& spec = executor.program().tensors[tensor];
    if (spec.dtype != (spec.name == "items" ? Dtype::int32 : Dtype::float32)) throw Error(Status::model, "Output \"" + spec.name + "\" is of another dtype");
  }
}

void Model::read_config(const std::string& text) {
  const Json head = Json::parse(text);
  if (text_of(head, "format") != "shortlist-model") throw Error(Status::model, "Expected format \"shortlist-model\"");
  int64_t version = 0;
  if (!member(head, "version").to_size(&version) || version != 1) throw Error(Status::model, "Expected version 1");
  const Json& config = member(head, "config");
  window_ = size_of(config, "window");
  const std::string windows = text_of(config, "windows");
  if (windows != "sliding" && windows != "growing") throw Error(Status::model, "Expected \"windows\" to be sliding or growing");
  growing_ = windows == "growing";
  vector_width_ = size_of(config, "userVectorWidth");
  const Json& schema = member(head, "schema");
  missing_ = missing_words(schema);
  bool has_clicks = false;
  std::set<std::string> names;
  const auto name_once = [&](const Json& json) {
    const std::string name = feature_name(json);
    if (!names.insert(name).second) throw Error(Status::model, "The name \"" + name + "\" is there twice");
    return name;
  };
  for (const Json& json : list_of(schema, "columns")) {
    Column column{name_once(json), kind_of(text_of(json, "kind"))};
    if ((column.kind == Column::Kind::clicks) != (column.name == "clicks")) {
      throw Error(Status::model, "Expected the column \"clicks\", and no other one, to hold the clicks");
    }
    if (column.kind == Column::Kind::number) {
      const Json& statistics = member(member(head, "numbers"), column.name.c_str());
      column.mean = number_of(statistics, "mean");
      column.deviation = number_of(statistics, "standardDeviation");
    }
    has_clicks = has_clicks || column.kind == Column::Kind::clicks;
    if (column.kind == Column::Kind::categorical || column.kind == Column::Kind::number) user_features_.push_back(column.name);
    columns_.push_back(std::move(column));
  }
  for (const Json& json : list_of(schema, "click")) {
    if (json.find("kind")) {
      if (text_of(json, "kind") != "time") throw Error(Status::model, "Unknown kind of click field \"" + text_of(json, "kind") + "\"");
      click_.push_back({name_once(json), false, true});
      continue;
    }
    const Json& multiple = member(json, "multiple");
    if (!multiple.is_boolean()) throw Error(Status::model, "Expected \"multiple\" to be true or false");
    click_.push_back({name_once(json), multiple.boolean(), false});
  }
  if (!has_clicks || click_.empty()) throw Error(Status::model, "Expected a schema with a column of clicks and their fields");
  if (click_[0].multiple || click_[0].is_time) throw Error(Status::model, "Expected one value for the first click field, which is the item");
}

void Model::read_vocabulary(const std::string& path, const std::string& name) {
  const std::string text = read_file(path);
  Vocabulary& vocabulary = vocabularies_[name];
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const size_t tab = text.find('\t', begin);
    const std::string where = path + ":" + std::to_string(vocabulary.tokens.size() + 1) + ": ";
    if (tab == std::string::npos || tab >= end || tab == begin) throw Error(Status::model, where + "Expected a token, a tab and a count");
    const int32_t id = static_cast<int32_t>(vocabulary.tokens.size());
    vocabulary.tokens.push_back(text.substr(begin, tab - begin));
    if (!vocabulary.ids.emplace(vocabulary.tokens.back(), id).second) {
      throw Error(Status::model, where + "Expected each token once but received \"" + vocabulary.tokens.back() + "\" again");
    }
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

int32_t Model::id_of(const std::string& feature, const std::string& token) const {
  return is_missing(token) ? 0 : vocabularies_.at(feature).id(token);
}

void Model::check_time(const std::string& name, const std::string& token) const {
  if (is_missing(token) || (is_number(token) && std::isfinite(to_number(token)))) return;
  throw Error(Status::input, "Expected a number for \"" + name + "\" but received \"" + token + "\"");
}

void Model::set_column(User& user, size_t column, const std::string& token) const {
  const Column& what = columns_[column];
  if (what.kind == Column::Kind::categorical) {
    user.tokens[column] = id_of(what.name, token);
  } else if (what.kind == Column::Kind::number) {
    user.numbers[column] = 0;
    if (is_missing(token)) return;
    const float value = is_number(token) ? static_cast<float>(to_number(token)) : HUGE_VALF;  // a dataset holds float32
    if (!std::isfinite(value)) throw Error(Status::input, "Expected a number for \"" + what.name + "\" but received \"" + token + "\"");
    const double scale = what.deviation > 0 ? 1 / what.deviation : 1;
    user.numbers[column] = static_cast<float>((static_cast<double>(value) - what.mean) * scale);
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
    if (click_[field].is_time) {
      check_time(click_[field].name, tokens[field]);
      continue;
    }
    const std::string& name = click_[field].name;
    if (click_[field].multiple) {
      for (const std::string& token : split(tokens[field], '_')) ids[field].push_back(id_of(name, token));
    } else {
      ids[field].push_back(id_of(name, tokens[field]));
    }
  }
  user.clicks.push_back(std::move(ids));
}

User Model::parse_line(const std::string& line) const {
  const size_t begin = line.compare(0, 3, "\xef\xbb\xbf") == 0 ? 3 : 0;  // a byte order mark
  size_t end = line.size();
  if (end > begin && line[end - 1] == '\n') --end;
  if (end > begin && line[end - 1] == '\r') --end;
  if (!is_utf8(line)) throw Error(Status::input, "Expected UTF-8 text but received other bytes");
  const std::vector<std::string> fields = split(line.substr(begin, end - begin), '\t');
  if (fields.size() != columns_.size()) {
    throw Error(Status::input, "Expected " + std::to_string(columns_.size()) + " fields but received " + std::to_string(fields.size()));
  }
  User user = new_user();
  for (size_t column = 0; column < columns_.size(); ++column) {
    if (columns_[column].kind == Column::Kind::clicks) {
      if (is_missing(fields[column])) continue;  // a user without clicks
      for (const std::string& click : split(fields[column], ';')) add_click(user, split(click, ':'));
    } else {
      set_column(user, column, fields[column]);
    }
  }
  return user;
}

// The first click of the history that predicts the next one; src/data/batches.ts, Batch.
size_t Model::history_start(const User& user) const {
  const int64_t clicks = static_cast<int64_t>(user.clicks.size());
  const int64_t first = growing_ ? window_ * ((clicks + window_ - 1) / window_ - 2) : clicks - window_;
  return static_cast<size_t>(std::max<int64_t>(0, first));
}

// One sample, its history as `history_start` says, or one position of <unk>; src/data/batches.ts, NextClickBatches.
void Model::execute(Executor& executor, const User& user, int64_t top, bool keep_watched) {
  const size_t first = history_start(user);
  const int32_t positions = std::max<int32_t>(1, static_cast<int32_t>(user.clicks.size() - first));
  Inputs inputs;
  std::unordered_map<std::string, int64_t> dims = {{"samples", 1}, {"positions", positions}, {"runs", 1}, {"steps", positions}, {"top", top}};
  for (size_t column = 0; column < columns_.size(); ++column) {
    if (columns_[column].kind == Column::Kind::categorical) inputs.ids[columns_[column].name] = {user.tokens[column]};
    if (columns_[column].kind == Column::Kind::number) inputs.numbers.push_back(user.numbers[column]);
  }
  for (size_t field = 0; field < click_.size(); ++field) {
    if (click_[field].is_time) continue;
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

namespace {

// What is computed of weights that diverged, or of numbers far from those that the model was trained on, is no result.
void expect_finite(float number, const char* what) {
  if (std::isfinite(number)) return;
  throw Error(Status::model, "The user's " + std::string(what) + " are not finite: the training of the model diverged, or a number of the user " +
                                 "is far from those that it was trained on");
}

}  // namespace

std::vector<float> Model::user_vector(const User& user) {
  execute(*vector_, user, 0, false);
  std::vector<float> vector(static_cast<size_t>(vector_width_));
  const int output = vector_->outputs().at(0);
  const Tensor& value = vector_->output(output);
  if (value.rows * value.columns != vector_width_) throw Error(Status::model, "The user vector has another width than config.json says");
  vector_->copy_output(output, vector.data());
  for (const float element : vector) expect_finite(element, "vector elements");
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
