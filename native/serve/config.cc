#include "native/serve/config.h"

#include <cmath>
#include <map>
#include <memory>
#include <string_view>

#include "native/core/text.h"
#include "native/data/stored_json.h"

namespace shortlist {
namespace {

const int64_t kDefaultMaxLineBytes = int64_t{16} << 20, kLargestMaxLineBytes = int64_t{1} << 28;

const double kLargestCount = 9007199254740991;

// ---- versions of the format: src/data/stored_format.ts --------------------------------------------------------------

int64_t version_of(const Json& head, const ModelFormat& format) {
  const Json& version = member(head, "version");
  const std::string newest = std::to_string(format.version);
  const std::string expected = "Expected " + (format.version == 1 ? "version 1" : "a version from 1 to " + newest);
  if (!is_integer(version, 1, kLargestCount)) fail_model(expected + " but received " + version.format());
  const int64_t given = static_cast<int64_t>(version.number());
  if (given > format.version) {
    fail_model(expected + " but received " + std::to_string(given) +
               ": a newer Shortlist wrote it. Update Shortlist, or train the model again with this one");
  }
  return given;
}

// The members of an object of config.json, as the format's current version has them.
class Members {
 public:
  Members(const Json& object, const char* name, int64_t version, const ModelFormat& format) {
    for (const Json::Member& member : object.members()) members_[member.first] = &member.second;
    for (const Migration& migration : format.migrations) {
      if (migration.version > version && std::string_view(migration.object) == name) apply(migration);
    }
  }

  const Json* find(const std::string& name) const {
    const auto found = members_.find(name);
    return found == members_.end() ? nullptr : found->second;
  }
  std::map<std::string, const Json*>::const_iterator begin() const { return members_.begin(); }
  std::map<std::string, const Json*>::const_iterator end() const { return members_.end(); }

 private:
  void apply(const Migration& migration) {
    const char* const name = migration.renamed ? migration.renamed : migration.member;
    if (find(name)) {
      fail_model("Expected no \"" + std::string(name) + "\" in \"" + migration.object + "\" before version " +
                 std::to_string(migration.version));
    }
    if (migration.added) {
      added_.push_back(std::make_unique<Json>(Json::parse(migration.added)));
      members_[name] = added_.back().get();
    } else if (const Json* const value = find(migration.member)) {
      members_.erase(migration.member);
      members_[name] = value;
    }
  }

  std::map<std::string, const Json*> members_;
  std::vector<std::unique_ptr<Json>> added_;
};

// ---- the configuration: src/model/config.ts, FIELDS -----------------------------------------------------------------

const double kSmallest = 0x1p-126, kLargest = 0x1.fffffep127, kLargestDeviation = 1e37, kLargestPower = 10;
const double kLargestSize = 2147483647;
const size_t kMostLayers = 64;

struct Key {
  enum class Kind { integer, number, boolean, choice, choice_or_boolean, integers, names, widths };
  const char* name;
  Kind kind;
  double min = 0, max = 0;        // of numbers
  const char* choices = nullptr;  // between bars
  bool below = false;             // a number is below max, as float32 too
};

Key integer(const char* name, double min, double max = kLargestSize) { return {name, Key::Kind::integer, min, max}; }
Key number(const char* name, double min, double max = kLargest) { return {name, Key::Kind::number, min, max}; }
Key below(const char* name, double min, double max) { return {name, Key::Kind::number, min, max, nullptr, true}; }
Key boolean(const char* name) { return {name, Key::Kind::boolean}; }
Key choice(const char* name, const char* choices) { return {name, Key::Kind::choice, 0, 0, choices}; }
Key other(const char* name, Key::Kind kind, double min = 0) { return {name, kind, min, kLargestSize}; }

const Key kKeys[] = {
    integer("window", 1),
    choice("windows", "|sliding|growing|"),
    other("exclude", Key::Kind::names),
    other("embeddingWidths", Key::Kind::widths, 1),
    integer("defaultEmbeddingWidth", 1),
    boolean("exampleAge"),
    choice("history", "|lstm|mean|"),
    integer("lstmWidth", 1),
    integer("lstmLayers", 1, double{kMostLayers}),
    choice("pooling", "|max|last|"),
    boolean("lastClick"),
    boolean("peepholes"),
    number("forgetBias", -kLargest),
    other("hiddenWidths", Key::Kind::integers, 1),
    integer("userVectorWidth", 1),
    boolean("skipHidden"),
    choice("attributes", "|pooled|sequence|both|"),
    boolean("tiedItems"),
    {"itemAttributes", Key::Kind::choice_or_boolean, 0, 0, "|auto|"},
    choice("userVectorActivation", "|relu|none|"),
    choice("loss", "|nce|paddle_nce|sampled_softmax|softmax|auto|"),
    choice("negatives", "|noise|batch|"),
    integer("draws", 1),
    boolean("sharedDraws"),
    number("noisePower", 0, kLargestPower),
    choice("reduction", "|mean|sum|"),
    choice("optimizer", "|adagrad|rowwise_adagrad|adam|sgd|"),
    number("learningRate", kSmallest),
    number("epsilon", kSmallest),
    boolean("epsilonInside"),
    below("beta1", 0, 1),
    below("beta2", 0, 1),
    number("l2", 0),
    boolean("l2Biases"),
    boolean("l2Output"),
    number("clipNorm", 0),
    number("embeddingDeviation", kSmallest, kLargestDeviation),
    number("outputDeviation", 0, kLargestDeviation),
    number("embeddingDropout", 0, 0.95),
    number("dropout", 0, 0.95),
    number("userDropout", 0, 0.95),
    integer("warmupSteps", 0),
    number("finalLearningRate", 0, 1),
    integer("batchSize", 1),
    choice("batching", "|shuffled|shared|"),
    integer("epochs", 1),
    choice("precision", "|float32|bf16|"),
};

// Of a finite number within float32's range, as kernels have it.
bool fits_number(const Key& key, const Json& value) {
  const double number = value.number();
  if (!value.is_number() || number < key.min || number > key.max) return false;
  const float kept = static_cast<float>(number);
  return !(key.below && kept >= key.max) && (number == 0 || std::fabs(kept) >= kSmallest);
}

bool fits_choice(const Key& key, const Json& value) {
  const std::string& text = value.string();
  return value.is_string() && text.find('|') == std::string::npos &&
         std::string_view(key.choices).find("|" + text + "|") != std::string_view::npos;
}

bool fits(const Key& key, const Json& value) {
  bool all = true;
  switch (key.kind) {
    case Key::Kind::integer: return is_integer(value, key.min, key.max);
    case Key::Kind::number: return fits_number(key, value);
    case Key::Kind::boolean: return value.is_boolean();
    case Key::Kind::choice: return fits_choice(key, value);
    case Key::Kind::choice_or_boolean: return value.is_boolean() || fits_choice(key, value);
    case Key::Kind::integers:
      for (const Json& item : value.items()) all = all && is_integer(item, key.min, key.max);
      return all && value.is_array() && value.items().size() <= kMostLayers;
    case Key::Kind::names:
      for (const Json& item : value.items()) all = all && item.is_string();
      return all && value.is_array();
    case Key::Kind::widths:
      for (const Json::Member& width : value.members()) all = all && is_integer(width.second, key.min, key.max);
      return all && value.is_object();
  }
  return false;
}

// Keys that do not go together.
void check_together(const Members& config) {
  const auto is = [&](const char* name, const char* text) { return member(config, name).string() == text; };
  const auto on = [&](const char* name) { return member(config, name).boolean(); };
  const bool drawn = !is("loss", "softmax") && !is("loss", "auto");
  const Json& attributes = member(config, "itemAttributes");
  const bool composed = attributes.is_string() || attributes.boolean();
  if (on("l2Output") && (!is("optimizer", "adagrad") || !drawn))
    fail_model("\"l2Output\" needs optimizer adagrad and a loss over draws");
  if (is("negatives", "batch") && !drawn) fail_model("\"negatives\" batch needs a loss over draws");
  if (on("l2Output") && (on("tiedItems") || composed)) fail_model("\"l2Output\" needs item vectors of their own");
  if (on("tiedItems") && composed && is("attributes", "pooled"))
    fail_model("\"itemAttributes\" with \"tiedItems\" needs attributes in the sequence");
}

void check_config(const Members& config) {
  for (const Key& key : kKeys) {
    if (!fits(key, member(config, key.name))) fail_model(std::string("\"") + key.name + "\" has an impossible value");
  }
  for (const auto& given : config) {
    bool known = false;
    for (const Key& key : kKeys) known = known || given.first == key.name;
    if (!known) fail_model("Unknown configuration key " + quoted(given.first));
  }
  check_together(config);
}

// ---- how the weights came to be: src/model/training_record.ts -------------------------------------------------------

bool are_numbers(const Json* object) {
  bool all = object != nullptr && object->is_object();
  if (!all) return false;
  for (const Json::Member& member : object->members()) all = all && member.second.is_number();
  return all;
}

bool are_metrics(const Json& value) {
  const Json* const mrr = value.find("mrr");
  return are_numbers(value.find("hitRate")) && are_numbers(value.find("ndcg")) && mrr != nullptr && mrr->is_number();
}

// Inference has no use for it; members of other names may stand beside these.
void check_training(const Members& training) {
  const auto check = [&](const char* name, bool (*fits)(const Json&)) {
    const Json* const value = training.find(name);
    if (value != nullptr && !fits(*value)) fail_model(std::string("\"training.") + name + "\" has an impossible value");
  };
  check("preset", [](const Json& value) { return value.is_string(); });
  for (const char* number : {"epochs", "loss"}) check(number, [](const Json& value) { return value.is_number(); });
  for (const char* count : {"seed", "steps", "samples", "extendedItems"})
    check(count, [](const Json& value) { return is_integer(value, 0, kLargestCount); });
  check("heldOut", [](const Json& value) { return value.string() == "last"; });
  check("validation", are_metrics);
}

}  // namespace

const ModelFormat kModelFormat = {
    3, {{2, "config", "passes", nullptr, "epochs"}, {2, "training", "passes", nullptr, "epochs"}}};

Config Config::parse(const Json& head, const ModelFormat& format) {
  if (text_of(head, "format") != "shortlist-model") fail_model("Expected format \"shortlist-model\"");
  const int64_t version = version_of(head, format);
  Config result = {};
  result.version = version;
  const Json& stored = member(head, "config");
  if (!stored.is_object()) fail_model("Expected \"config\" to be an object");
  const Members config(stored, "config", version, format);
  check_config(config);
  if (const Json* const training = head.find("training")) {
    if (!training->is_object()) fail_model("Expected \"training\" to be an object");
    check_training(Members(*training, "training", version, format));
  }
  result.window = static_cast<int64_t>(number_of(config, "window"));
  result.vector_width = static_cast<int64_t>(number_of(config, "userVectorWidth"));
  result.growing = text_of(config, "windows") == "growing";
  result.schema = Schema::parse(member(head, "schema"));
  const auto statistics_of = [&](const std::string& name) -> NumberStatistics {
    const Json& statistics = member(member(head, "numbers"), name.c_str());
    return {number_of(statistics, "mean"), number_of(statistics, "standardDeviation")};
  };
  for (const std::string& name : result.schema.names_of(Column::Kind::number))
    result.numbers.push_back(statistics_of(name));
  for (const std::string& name : result.schema.click_numbers()) result.click_numbers.push_back(statistics_of(name));
  result.max_line_bytes = kDefaultMaxLineBytes;
  if (const Json* most = head.find("max_line_bytes")) {
    if (!is_integer(*most, 1, double{kLargestMaxLineBytes})) fail_model("\"max_line_bytes\" is impossible");
    result.max_line_bytes = static_cast<int64_t>(most->number());
  }
  return result;
}

}  // namespace shortlist
