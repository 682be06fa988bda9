#include "native/serve/encoding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "native/core/error.h"
#include "native/core/text.h"
#include "native/data/words.h"

namespace shortlist {
namespace {

const size_t kMostValues = 2147483647;  // of a feature: offsets are int32
const float kMissing = std::numeric_limits<float>::quiet_NaN();

[[noreturn]] void fail_number(const std::string& name, std::string_view text) {
  throw Error(Status::input, "Expected a number for " + quoted(name) + " but received " + quoted(text));
}

// The index of a name; the size of the list where it is not there.
size_t index_of(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

}  // namespace

void check_text(const std::string& name, std::string_view text) {
  if (!is_utf8(text))
    throw Error(Status::input, "Expected UTF-8 text for " + quoted(name) + " but received other bytes");
  if (text.find('\0') != std::string_view::npos)
    throw Error(Status::input, "Expected text without NUL bytes for " + quoted(name) + " but received one");
}

Encoding::Encoding(Config config, std::vector<Vocabulary> vocabularies)
    : config_(std::move(config)),
      categorical_(config_.schema.names_of(Column::Kind::categorical)),
      numbers_(config_.schema.names_of(Column::Kind::number)),
      lists_(config_.schema.names_of(Column::Kind::categorical, true)),
      searches_(config_.schema.names_of(Column::Kind::tokens)),
      names_(vocabulary_names(config_.schema)),
      item_features_(config_.schema.item_features()),
      click_numbers_(config_.schema.click_numbers()),
      vocabularies_(std::move(vocabularies)),
      parser_(config_.schema, true) {}

const Vocabulary* Encoding::vocabulary(const std::string& feature) const {
  const size_t index = index_of(names_, feature);
  return index < names_.size() ? &vocabularies_[index] : nullptr;
}

std::vector<std::string> Encoding::vocabulary_names(const Schema& schema) {
  std::vector<std::string> names = schema.names_of(Column::Kind::categorical);
  const auto add = [&](const std::vector<std::string>& more) { names.insert(names.end(), more.begin(), more.end()); };
  add(schema.names_of(Column::Kind::categorical, true));
  add(schema.names_of(Column::Kind::tokens));
  for (const ClickField& feature : schema.item_features()) names.push_back(feature.name);
  return names;
}

User Encoding::new_user() const {
  User user;
  user.tokens.assign(categorical_.size(), 0);
  user.numbers.assign(numbers_.size(), kMissing);
  user.lists.assign(lists_.size(), std::vector<int32_t>{0});
  user.searches.resize(searches_.size());
  user.click_numbers.resize(click_numbers_.size());
  user.values.resize(item_features_.size());
  for (size_t f = 0; f < item_features_.size(); ++f) {
    if (item_features_[f].multiple) user.values[f].offsets.push_back(0);
  }
  return user;
}

void Encoding::set(User* user, const std::string& feature, const std::string& token) const {
  const size_t categorical = index_of(categorical_, feature), number = index_of(numbers_, feature);
  const size_t list = index_of(lists_, feature), searches = index_of(searches_, feature);
  check_text(feature, token);
  if (categorical < categorical_.size()) {
    user->tokens[categorical] = config_.schema.missing.contains(token) ? 0 : vocabularies_[categorical].id(token);
  } else if (number < numbers_.size()) {
    double value;
    if (!parse_number(token, config_.schema.missing, &value) || std::isinf(static_cast<float>(value)))
      fail_number(feature, token);
    user->numbers[number] = static_cast<float>(value);
  } else if (list < lists_.size()) {
    user->lists[list].clear();
    for_each_value(token, kValueSeparator,
                   [&](std::string_view value) { user->lists[list].push_back(vocabulary_of_list(list).id(value)); });
  } else if (searches < searches_.size()) {
    user->searches[searches] = User::Searches();
    if (config_.schema.missing.contains(token)) return;
    for_each_value(token, kQueryEnd, [&](std::string_view query) {
      if (!query.empty()) add_query(searches, query, &user->searches[searches]);
    });
  } else {
    throw Error(Status::input, "The model has no user feature " + quoted(feature));
  }
}

// Calls value(text) for each value of a text that is given by itself, separated and escaped as in a log; "" where
// missing.
template <class Value>
void Encoding::for_each_value(std::string_view text, char separator, const Value& value) const {
  std::vector<char> memory;
  for_each_part(config_.schema.escapes ? hide_escaped(text, &memory) : text, separator,
                [&](std::string_view part, size_t) {
                  std::vector<char> shown(part.begin(), part.end());
                  show_escaped(&shown);
                  value(config_.schema.missing.contains(part) ? "" : std::string_view(shown.data(), shown.size()));
                });
}

void Encoding::add_query(size_t column, std::string_view query, User::Searches* searches) const {
  for (const std::string& token : query_tokens(query)) {
    const int32_t id = vocabulary_of_searches(column).id(token);
    if (id != 0) searches->ids.push_back(id);
  }
  searches->offsets.push_back(static_cast<int32_t>(searches->ids.size()));
}

void Encoding::add_click(User* user, const std::vector<std::string>& fields) const {
  const Schema& schema = config_.schema;
  if (fields.size() != schema.click.size()) {
    throw Error(Status::input, "Expected " + std::to_string(schema.click.size()) + " fields of a click but received " +
                                   std::to_string(fields.size()));
  }
  if (fields[0].empty()) throw Error(Status::input, "Expected an item but received an empty field");
  std::vector<float> numbers;
  for (size_t field = 0; field < fields.size(); ++field) {
    const float number = parse_property(schema.click[field], fields[field]);
    if (schema.click[field].kind == ClickField::Kind::number) numbers.push_back(number);
  }
  std::vector<std::vector<int32_t>> ids;
  for (size_t field = 0; field < fields.size(); ++field) {
    if (schema.click[field].kind != ClickField::Kind::item_feature) continue;
    const Vocabulary& vocabulary = vocabulary_of(ids.size());
    ids.emplace_back();
    if (!schema.click[field].multiple) {
      ids.back().push_back(schema.missing.contains(fields[field]) ? 0 : vocabulary.id(fields[field]));
    } else {
      for_each_value(fields[field], kValueSeparator,
                     [&](std::string_view value) { ids.back().push_back(vocabulary.id(value)); });
    }
  }
  add_click(user, ids, numbers);
}

// Checks the text of a field of a click. Returns the number of a field of numbers, and anything for another one, since
// times and weights are read by training alone.
float Encoding::parse_property(const ClickField& field, const std::string& text) const {
  check_text(field.name, text);
  const MissingWords& missing = config_.schema.missing;
  double time;
  float number = kMissing;
  if (field.kind == ClickField::Kind::time && (!parse_number(text, missing, &time) || std::isinf(time)))
    fail_number(field.name, text);
  if (field.kind == ClickField::Kind::weight && !parse_weight(text, missing, &number))
    throw Error(Status::input,
                "Expected a number of at least 0 for " + quoted(field.name) + " but received " + quoted(text));
  if (field.kind == ClickField::Kind::number && !parse_float(text, missing, &number)) fail_number(field.name, text);
  return number;
}

void Encoding::add_click(User* user, const std::vector<std::vector<int32_t>>& ids,
                         const std::vector<float>& numbers) const {
  const size_t clicks = static_cast<size_t>(user->clicks);
  for (size_t n = 0; n < click_numbers_.size(); ++n) {
    user->click_numbers[n].resize(clicks);  // without what a click that failed has left
    user->click_numbers[n].push_back(n < numbers.size() ? numbers[n] : kMissing);
  }
  for (size_t f = 0; f < item_features_.size(); ++f) {
    User::Values& values = user->values[f];
    // Without what a call that failed has left.
    if (item_features_[f].multiple) values.offsets.resize(clicks + 1);
    values.ids.resize(item_features_[f].multiple ? static_cast<size_t>(values.offsets.back()) : clicks);
    if (values.ids.size() + ids[f].size() > kMostValues)
      throw Error(Status::input, "Expected at most " + std::to_string(kMostValues) + " values of " +
                                     quoted(item_features_[f].name) + " in a user's clicks");
    values.ids.insert(values.ids.end(), ids[f].begin(), ids[f].end());
    if (item_features_[f].multiple) values.offsets.push_back(static_cast<int32_t>(values.ids.size()));
  }
  ++user->clicks;
}

User Encoding::parse_line(std::string_view line) const {
  if (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  if (line.find('\n') != std::string_view::npos)
    throw Error(Status::input, "Expected one line of a click log but received several");
  LogRow row;
  parser_.parse(line_text(line, config_.max_line_bytes), &row);
  User user;
  for (size_t f = 0; f < categorical_.size(); ++f) user.tokens.push_back(vocabularies_[f].id(row.tokens[f]));
  user.numbers = std::move(row.numbers);
  for (size_t f = 0; f < lists_.size(); ++f) {
    user.lists.emplace_back();
    for (const std::string_view token : row.lists[f]) user.lists[f].push_back(vocabulary_of_list(f).id(token));
  }
  for (size_t f = 0; f < searches_.size(); ++f) {
    user.searches.emplace_back();
    for (const std::string_view query : row.searches[f]) add_query(f, query, &user.searches[f]);
  }
  user.clicks = row.clicks;
  user.click_numbers = std::move(row.click_numbers);
  for (size_t f = 0; f < item_features_.size(); ++f) {
    user.values.emplace_back();
    for (const std::string_view token : row.values[f].tokens) user.values[f].ids.push_back(vocabulary_of(f).id(token));
    user.values[f].offsets = std::move(row.values[f].offsets);
  }
  return user;
}

}  // namespace shortlist
