#include "test/fuzz/formats.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "native/core/error.h"
#include "native/core/json.h"
#include "native/core/program.h"
#include "native/core/safetensors.h"
#include "native/data/words.h"
#include "native/serve/encoding.h"

namespace shortlist {
namespace {

// A file in memory whose contents are replaced by one input after the other.
class InputFile {
 public:
  InputFile() : descriptor_(memfd_create("input", 0)) {
    if (descriptor_ < 0) std::abort();
    path_ = "/proc/self/fd/" + std::to_string(descriptor_);
  }
  const std::string& path() const { return path_; }
  void write(std::string_view bytes) {
    if (ftruncate(descriptor_, 0) != 0 ||
        pwrite(descriptor_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
      std::abort();
  }

 private:
  int descriptor_;
  std::string path_;
};

// Reads every element of every tensor.
std::string read_safetensors(std::string_view input) {
  static InputFile file;
  file.write(input);
  const Safetensors tensors(file.path());
  for (const Safetensors::Entry& entry : tensors.entries()) {
    std::string data(static_cast<size_t>(entry.bytes), '\0');
    tensors.read(entry, 0, entry.bytes, &data[0]);
    if (tensors.find(entry.name) != &entry) std::abort();
  }
  return "";
}

// Parses a Program and selects each of its outputs.
std::string read_program(std::string_view input) {
  const Program program = parse_program(input);
  for (const TensorSpec& tensor : program.tensors) {
    if (tensor.role == Role::output) select_outputs(program, {tensor.name});
    if (format_shape(program, tensor.shape).empty()) std::abort();
  }
  return "";
}

// Bits of a number in hexadecimal; "-" for NaN.
template <class Bits, class Number>
std::string bits_of(Number number) {
  Bits bits;
  static_assert(sizeof bits == sizeof number, "the same size");
  std::memcpy(&bits, &number, sizeof bits);
  char text[20];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(bits));
  return number == number ? text : "-";
}

std::string token_of(std::string_view token) { return token.empty() ? "-" : "=" + std::string(token); }

// A row as test/data/readers.test.ts writes it.
std::string describe(const LogRow& row) {
  std::string text = token_of(row.user_id);
  for (const std::string_view token : row.tokens) text += "\t" + token_of(token);
  for (const float number : row.numbers) text += "\t" + bits_of<uint32_t>(number);
  for (const std::vector<std::vector<std::string_view>>* lists : {&row.lists, &row.searches}) {
    for (const std::vector<std::string_view>& list : *lists) {
      text += "\t[";
      for (const std::string_view token : list) text += " " + token_of(token);
      text += "]";
    }
  }
  for (int64_t click = 0; click < row.clicks; ++click) {
    text += "\t|";
    for (const LogRow::Values& values : row.values) {
      const bool multiple = !values.offsets.empty();
      const int64_t begin = multiple ? values.offsets[click] : click,
                    end = multiple ? values.offsets[click + 1] : click + 1;
      for (int64_t v = begin; v < end; ++v) text += (v == begin ? " " : ",") + token_of(values.tokens[v]);
    }
    if (!row.times.empty()) text += " " + bits_of<uint64_t>(row.times[click]);
    if (!row.weights.empty()) text += " " + bits_of<uint32_t>(row.weights[click]);
    for (const std::vector<float>& numbers : row.click_numbers) text += " " + bits_of<uint32_t>(numbers[click]);
  }
  return text;
}

// The schemas of test/data/readers.test.ts.
const char* const kSchemas[] = {
    R"({"columns":[{"name":"user_id"},{"name":"age","kind":"number"},{"name":"clicks"},{"name":"x","kind":"ignore"}],
        "click":[{"name":"item"},{"name":"time","kind":"time"},{"name":"tags","multiple":true}],
        "missing":["NULL","none"],"escapes":true})",
    R"({"columns":[{"name":"clicks"},{"name":"a","kind":"number"},{"name":"user_id","kind":"ignore"},
                   {"name":"b","kind":"number"},{"name":"city"}],"click":[{"name":"item"}]})",
    R"({"columns":[{"name":"q","kind":"tokens"},{"name":"clicks"},{"name":"x","multiple":true},{"name":"user_id"}],
        "click":[{"name":"item"}],"missing":["NULL","none"],"escapes":true})",
    R"({"columns":[{"name":"city"},{"name":"clicks"}],
        "click":[{"name":"item"},{"name":"tags","multiple":true},{"name":"shown","kind":"ignore"},
                 {"name":"category"},{"name":"w","kind":"weight"},{"name":"at","kind":"time"},
                 {"name":"price","kind":"number"},{"name":"seen","kind":"number"}],
        "missing":["a word for what is missing that is longer than most","\u00ed",""],"escapes":true})",
};

std::vector<LineParser> line_parsers() {
  std::vector<LineParser> parsers;
  for (const char* schema : kSchemas) {
    for (const bool without_clicks : {false, true})
      parsers.emplace_back(Schema::parse(Json::parse(schema)), without_clicks);
  }
  return parsers;
}

// Before the line stands a digit, which says in which schema it is read and whether users without clicks are taken.
std::string read_line(std::string_view input) {
  static const std::vector<LineParser> parsers = line_parsers();
  const size_t parser = input.empty() ? 0 : static_cast<unsigned char>(input[0]) % parsers.size();
  LogRow row;
  parsers[parser].parse(line_text(input.substr(input.empty() ? 0 : 1), 1000), &row);
  return describe(row);
}

Encoding user_encoding() {
  Config config = {};
  config.max_line_bytes = 1000;
  config.schema.missing = MissingWords({"NULL", "none"});
  config.schema.escapes = true;
  config.schema.columns = {{"user_id", Column::Kind::categorical, false},
                           {"age", Column::Kind::number, false},
                           {"clicks", Column::Kind::clicks, false},
                           {"x", Column::Kind::ignored, false}};
  config.schema.click = {{"item"}, {"time", false, ClickField::Kind::time}, {"tags", true}};
  config.numbers = {{0, 1}};
  std::vector<Vocabulary> vocabularies;
  vocabularies.push_back(Vocabulary::parse("<unk>\t1\nu1\t2\n\xc3\xa9\t1\n", ""));
  vocabularies.push_back(Vocabulary::parse("<unk>\t1\na\t2\nb\t1\n", ""));
  vocabularies.push_back(Vocabulary::parse("<unk>\t1\nt\t2\ns\t1\n", ""));
  return Encoding(std::move(config), std::move(vocabularies));
}

// As test/data/readers.test.ts writes it: the user's id, the bits of the age, the ids of each click.
std::string read_user(std::string_view input) {
  static const Encoding encoding = user_encoding();
  const User user = encoding.parse_line(input);
  std::string text = std::to_string(user.tokens[0]) + " " + bits_of<uint32_t>(user.numbers[0]);
  for (int64_t click = 0; click < user.clicks; ++click) {
    const User::Values& tags = user.values[1];
    text += " " + std::to_string(user.values[0].ids[click]);
    for (int32_t v = tags.offsets[click]; v < tags.offsets[click + 1]; ++v) text += "," + std::to_string(tags.ids[v]);
  }
  return text;
}

// The tokens of a query, which is valid UTF-8, as test/data/readers.test.ts writes them.
std::string read_words(std::string_view input) {
  std::string text;
  for (const std::string& token : query_tokens(input)) text += (text.empty() ? "" : "|") + token;
  return text;
}

// What is read of it, as test/data/readers.test.ts writes it.
std::string read_config(std::string_view input, const ModelFormat& format) {
  const Config config = Config::parse(Json::parse(input), format);
  return std::to_string(config.window) + " " + std::to_string(config.vector_width) + " " +
         (config.growing ? "growing" : "sliding") + " " + std::to_string(config.max_line_bytes);
}

// A format of which today's configuration is version 3; as test/data/readers.test.ts has it.
const ModelFormat kMigrated = {3,
                               {{2, "config", "userVectorWidth", "24", nullptr},
                                {2, "config", "length", nullptr, "history_length"},
                                {3, "config", "history_length", nullptr, "window"},
                                {3, "training", "rounds", nullptr, "epochs"},
                                {3, "training", "loss", "0.5", nullptr}}};

}  // namespace

const Format kFormats[] = {
    {"json", [](std::string_view input) { return Json::parse(input).format().substr(0, 0); }},
    {"safetensors", read_safetensors},
    {"program", read_program},
    {"vocabulary", [](std::string_view input) { return Vocabulary::parse(input, "vocabulary"), std::string(); }},
    {"config", [](std::string_view input) { return read_config(input, kModelFormat); }},
    {"old_config", [](std::string_view input) { return read_config(input, kMigrated); }},
    {"line", read_line},
    {"user", read_user},
    {"words", read_words},
    {nullptr, nullptr},
};

const Format* find_format(const std::string& name) {
  for (const Format* format = kFormats; format->name != nullptr; ++format) {
    if (name == format->name) return format;
  }
  return nullptr;
}

}  // namespace shortlist
