#include "native/data/schema.h"

#include <algorithm>
#include <utility>

#include "native/core/text.h"
#include "native/data/stored_json.h"

namespace shortlist {
namespace {

// Names that Programs use for tensors and dims of their own.
// clang-format off
const char* const kReserved[] = {
    "target", "seed", "step", "learning_rate", "samples", "positions", "sequences", "timesteps", "users", "numbers",
    "user_vector", "example_age", "sample_start", "sample_end", "timestep_start", "timestep_end", "timestep_position",
    "sequence_offsets", "distinct", "distinct_item", "timestep_item", "excluded", "excluded_offsets", "top", "items",
    "score", "log_partition", "rank", "loss",
};
// clang-format on

// Endings of the names of tensors and dims that belong to a column of several values, and names that no such column
// has.
const char* const kEndings[] = {"_start", "_end", "_queries", "_before"};
const char* const kTakenWithEnding[] = {"click", "sequence", "user", "excluded", "sample", "timestep"};

class SchemaReader {
 public:
  explicit SchemaReader(Schema* schema) : schema_(schema) {}

  void read(const Json& schema) {
    check_keys(schema, "|columns|click|missing|escapes|");
    bool has_clicks = false;
    for (const Json& json : list(schema, "columns")) {
      read_column(json);
      has_clicks = has_clicks || schema_->columns.back().kind == Column::Kind::clicks;
    }
    if (!has_clicks) fail_model("Expected a column named \"clicks\"");
    int times = 0, weights = 0;
    for (const Json& json : list(schema, "click")) {
      read_click_field(json);
      times += schema_->click.back().kind == ClickField::Kind::time;
      weights += schema_->click.back().kind == ClickField::Kind::weight;
    }
    check_endings();
    if (times > 1) fail_model("Expected at most one click field of kind time");
    if (weights > 1) fail_model("Expected at most one click field of kind weight");
    read_missing(schema);
    const Json* const escapes = schema.find("escapes");
    if (escapes && !escapes->is_boolean()) fail_model("Expected \"escapes\" to be true or false");
    schema_->escapes = escapes && escapes->boolean();
  }

 private:
  // `keys` between bars.
  void check_keys(const Json& object, std::string_view keys) {
    if (!object.is_object()) fail_model("Expected objects in \"schema\"");
    for (const Json::Member& member : object.members()) {
      if (member.first.find('|') != std::string::npos ||
          keys.find("|" + member.first + "|") == std::string_view::npos) {
        fail_model("Unknown key " + quoted(member.first) + " in \"schema\"");
      }
    }
  }

  Json::List<Json> list(const Json& object, const char* name) {
    const Json& list = member(object, name);
    if (list.items().size() == 0) fail_model(std::string("Expected \"") + name + "\" to be a list that is not empty");
    return list.items();
  }

  // Also what makes a name safe as a part of a path.
  std::string name_of(const Json& json) {
    const std::string name = text_of(json, "name");
    const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
    bool fits = !name.empty() && is_letter(name[0]);
    for (const char c : name) fits = fits && (is_letter(c) || (c >= '0' && c <= '9') || c == '_');
    if (!fits) fail_model("Expected a name of lower-case letters, digits and _ but received " + quoted(name));
    const std::string_view ending = "_offsets";
    bool reserved =
        name.size() >= ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0;
    for (const char* taken : kReserved) reserved = reserved || name == taken;
    if (reserved)
      fail_model("The name " + quoted(name) +
                 " is reserved: rename the feature in the schema, and prepare and train again");
    if (!names_.insert(name).second) fail_model("The name " + quoted(name) + " is there twice");
    return name;
  }

  void read_column(const Json& json) {
    check_keys(json, "|name|kind|multiple|");
    Column column{name_of(json), Column::Kind::categorical};
    const Json *kind = json.find("kind"), *multiple = json.find("multiple");
    const std::string given = kind ? text_of(json, "kind") : column.name == "clicks" ? "clicks" : "categorical";
    if ((given == "clicks") != (column.name == "clicks"))
      fail_model("Expected the column \"clicks\", and no other one, to hold the clicks");
    if (given == "clicks") column.kind = Column::Kind::clicks;
    else if (given == "number") column.kind = Column::Kind::number;
    else if (given == "tokens") column.kind = Column::Kind::tokens;
    else if (given == "ignore") column.kind = Column::Kind::ignored;
    else if (given != "categorical") fail_model("Unknown kind of column " + quoted(given));
    if (multiple && !multiple->is_boolean()) fail_model("Expected \"multiple\" to be true or false");
    column.multiple = multiple && multiple->boolean();
    if (column.multiple && column.kind != Column::Kind::categorical)
      fail_model("Expected a categorical column to be the one with several values");
    if (column.name == "user_id" && (column.multiple || column.kind == Column::Kind::tokens))
      fail_model("Expected one value in the column \"user_id\"");
    schema_->columns.push_back(std::move(column));
  }

  // Refuses names that are those of tensors which belong to a column of several values.
  void check_endings() const {
    for (const Column& column : schema_->columns) {
      if (!column.multiple && column.kind != Column::Kind::tokens) continue;
      bool taken = false;
      for (const char* name : kTakenWithEnding) taken = taken || column.name == name;
      for (const char* ending : kEndings) taken = taken || names_.count(column.name + ending) > 0;
      if (taken)
        fail_model("A name is reserved beside the column " + quoted(column.name) +
                   " of several values: rename the feature in the schema, and prepare and train again");
    }
  }

  void read_click_field(const Json& json) {
    check_keys(json, "|name|kind|multiple|");
    const bool is_item = schema_->click.empty();
    ClickField field{name_of(json)};
    const Json *kind = json.find("kind"), *multiple = json.find("multiple");
    const std::string given = kind ? text_of(json, "kind") : "categorical";
    if (given == "time") field.kind = ClickField::Kind::time;
    else if (given == "weight") field.kind = ClickField::Kind::weight;
    else if (given == "number") field.kind = ClickField::Kind::number;
    else if (given == "ignore") field.kind = ClickField::Kind::ignored;
    else if (given != "categorical") fail_model("Unknown kind of click field " + quoted(given));
    const bool is_property = field.kind != ClickField::Kind::item_feature;
    if (multiple) {
      if (!multiple->is_boolean()) fail_model("Expected \"multiple\" to be true or false");
      field.multiple = multiple->boolean();
    }
    if (is_item && (field.multiple || is_property))
      fail_model("Expected one value for the first click field, which is the item");
    if (field.multiple && is_property) fail_model("Expected one value of kind " + given);
    schema_->click.push_back(std::move(field));
  }

  void read_missing(const Json& schema) {
    const Json* const words = schema.find("missing");
    if (!words) {
      schema_->missing = MissingWords({"NULL"});
      return;
    }
    if (!words->is_array()) fail_model("Expected \"missing\" to be a list of words");
    std::vector<std::string> missing;
    for (const Json& word : words->items()) {
      const std::string_view ends("\t\n\r\0", 4);  // what no field of a log holds
      if (!word.is_string() || word.string().find_first_of(ends) != std::string::npos) {
        fail_model("Expected \"missing\" to be a list of words without tab, newline or NUL");
      }
      missing.push_back(word.string());
    }
    schema_->missing = MissingWords(missing);
  }

  Schema* schema_;
  std::set<std::string> names_;
};

}  // namespace

MissingWords::MissingWords(const std::vector<std::string>& words) : words_(words.begin(), words.end()) {
  words_.insert("<unk>");
  words_.erase("");  // told without them
  for (const std::string& word : words_) {
    lengths_[static_cast<unsigned char>(word[0])] |= uint32_t{1} << std::min(word.size(), kLongest);
  }
}

Schema Schema::parse(const Json& json) {
  Schema schema;
  SchemaReader(&schema).read(json);
  return schema;
}

std::vector<std::string> Schema::names_of(Column::Kind kind, bool multiple) const {
  std::vector<std::string> names;
  for (const Column& column : columns) {
    if (column.kind == kind && column.multiple == multiple) names.push_back(column.name);
  }
  return names;
}

std::vector<ClickField> Schema::item_features() const {
  std::vector<ClickField> features;
  for (const ClickField& field : click) {
    if (field.kind == ClickField::Kind::item_feature) features.push_back(field);
  }
  return features;
}

std::vector<std::string> Schema::click_numbers() const {
  std::vector<std::string> names;
  for (const ClickField& field : click) {
    if (field.kind == ClickField::Kind::number) names.push_back(field.name);
  }
  return names;
}

int Schema::field_of(ClickField::Kind kind) const {
  const auto found =
      std::find_if(click.begin(), click.end(), [=](const ClickField& field) { return field.kind == kind; });
  return found == click.end() ? -1 : static_cast<int>(found - click.begin());
}

}  // namespace shortlist
