#include "test/fuzz/formats.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "native/core/error.h"
#include "native/core/json.h"
#include "native/core/program.h"
#include "native/core/safetensors.h"
#include "native/serve/encoding.h"

namespace shortlist {
namespace {

// A file whose contents are replaced by one input after the other.
class InputFile {
 public:
  InputFile() : file_(std::tmpfile()) {
    if (file_ == nullptr) std::abort();
    path_ = "/proc/self/fd/" + std::to_string(fileno(file_));
  }
  const std::string& path() const { return path_; }
  void write(std::string_view bytes) {
    const int descriptor = fileno(file_);
    if (ftruncate(descriptor, 0) != 0 ||
        pwrite(descriptor, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
      std::abort();
  }

 private:
  std::FILE* file_;
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

Encoding line_encoding() {
  Encoding encoding;
  encoding.config.max_line_bytes = 1000;
  encoding.config.missing = {"", "<unk>", "NULL", "none"};
  encoding.config.columns = {{"user_id", Column::Kind::categorical},
                             {"age", Column::Kind::number, 0, 1},
                             {"clicks", Column::Kind::clicks},
                             {"x", Column::Kind::ignored}};
  encoding.config.click = {{"item", false, false}, {"time", false, true}, {"tags", true, false}};
  encoding.vocabularies["user_id"] = Vocabulary::parse("<unk>\t1\nu1\t2\n\xc3\xa9\t1\n", "");
  encoding.vocabularies["item"] = Vocabulary::parse("<unk>\t1\na\t2\nb\t1\n", "");
  encoding.vocabularies["tags"] = Vocabulary::parse("<unk>\t1\nt\t2\ns\t1\n", "");
  return encoding;
}

// As test/data/readers.test.ts writes it: the user's id, the bits of the age, the ids of each click.
std::string read_line(std::string_view input) {
  static const Encoding encoding = line_encoding();
  const User user = encoding.parse_line(std::string(input));
  uint32_t bits;
  std::memcpy(&bits, &user.numbers[1], sizeof bits);
  std::string text = std::to_string(user.tokens[0]) + " " + std::to_string(bits);
  for (const auto& click : user.clicks) {
    text += " " + std::to_string(click[0].at(0));
    for (const int32_t tag : click[2]) text += "," + std::to_string(tag);
  }
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
    {nullptr, nullptr},
};

const Format* find_format(const std::string& name) {
  for (const Format* format = kFormats; format->name != nullptr; ++format) {
    if (name == format->name) return format;
  }
  return nullptr;
}

}  // namespace shortlist
