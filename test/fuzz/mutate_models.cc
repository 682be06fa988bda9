// Untrusted model folders. Each mutation of a valid folder must be refused when it is opened, or must answer without
// access to memory outside its tensors (see mutate_programs.cc). Mutations change the Program (with weights of the
// shapes and dtypes that it then needs, and any integers), the configuration, the vocabularies, and the weights.
//
//   mutate_models corpus/models [mutations [seed]]
//   mutate_models corpus/models only NUMBER SEED     repeats one mutation and keeps its folder

#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>

#include "native/core/error.h"
#include "native/core/program.h"
#include "native/include/shortlist/shortlist.h"
#include "test/fuzz/finding.h"
#include "test/fuzz/mutable_program.h"

using namespace shortlist;
namespace fs = std::filesystem;

namespace {

const size_t kMostElements = size_t{1} << 16;  // larger tensors get no weights

using Files = std::map<std::string, std::string>;  // contents by path in the folder

Files read_folder(const fs::path& folder) {
  Files files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    if (!file)
      throw fs::filesystem_error("Expected a readable file", entry.path(), std::make_error_code(std::errc::io_error));
    files[fs::relative(entry.path(), folder).string()] = std::string(std::istreambuf_iterator<char>(file), {});
  }
  return files;
}

struct Weights {
  std::string dtype;
  std::vector<size_t> shape;
  std::string data;
};

std::map<std::string, Weights> parse_weights(const std::string& bytes) {
  uint64_t size;
  std::memcpy(&size, bytes.data(), sizeof size);
  const Json header = Json::parse(std::string_view(bytes).substr(8, size));
  std::map<std::string, Weights> tensors;
  for (const Json::Member& member : header.members()) {
    if (member.first == "__metadata__") continue;
    Weights& weights = tensors[member.first];
    weights.dtype = member.second.find("dtype")->string();
    for (const Json& axis : member.second.find("shape")->items())
      weights.shape.push_back(static_cast<size_t>(axis.number()));
    const auto& offsets = member.second.find("data_offsets")->items();
    const size_t begin = static_cast<size_t>(offsets[0].number()), end = static_cast<size_t>(offsets[1].number());
    weights.data = bytes.substr(8 + size + begin, end - begin);
  }
  return tensors;
}

std::string format_weights(const std::map<std::string, Weights>& tensors) {
  std::string header, data;
  for (const auto& [name, weights] : tensors) {
    const std::string shape = joined(weights.shape, [](size_t axis) { return std::to_string(axis); });
    header += (header.empty() ? "{" : ",") + quoted_json(name) + ":{\"dtype\":" + quoted_json(weights.dtype) +
              ",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(data.size()) + "," +
              std::to_string(data.size() + weights.data.size()) + "]}";
    data += weights.data;
  }
  header += header.empty() ? "{}" : "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + data;
}

int32_t some_integer(Random& random, size_t i, size_t count, int kind) {
  switch (kind) {
    case 0: return static_cast<int32_t>(i);
    case 1: return 0;
    case 2: return static_cast<int32_t>(random.below(12));
    case 3: return static_cast<int32_t>(random.next());
    default:
      return i + 1 == count ? static_cast<int32_t>(random.below(70)) - 1 : static_cast<int32_t>(i * random.below(3));
  }
}

// The weights that a Program needs: the old ones, repeated or cut to their new sizes.
std::string weights_for(const MutableProgram& program, const std::map<std::string, Weights>& old, Random& random) {
  std::map<std::string, Weights> tensors;
  for (const MutableTensor& tensor : program.tensors) {
    if (tensor.role != "parameter" && tensor.role != "constant" && tensor.role != "optimizer_state") continue;
    Weights weights{tensor.dtype == "float32" ? "F32" : tensor.dtype == "int32" ? "I32" : "U32", {}, {}};
    size_t elements = 1;
    for (const std::string& axis : tensor.shape) {
      const size_t size = axis[0] == '"' ? 1 : static_cast<size_t>(std::min(std::stod(axis), 1e6));
      weights.shape.push_back(size);
      elements = std::min(elements * size, kMostElements + 1);
    }
    if (elements > kMostElements) continue;  // the tensor is missing then
    const auto found = old.find(tensor.name);
    weights.data.resize(4 * elements);
    const int kind = static_cast<int>(random.below(5));
    for (size_t i = 0; i < elements; ++i) {
      const int32_t integer = some_integer(random, i, elements, kind);
      const float number = static_cast<float>(random.uniform() - 0.5);
      const void* from = weights.dtype == "F32" ? static_cast<const void*>(&number) : &integer;
      if (found != old.end() && found->second.dtype == weights.dtype && found->second.data.size() >= 4) {
        from = found->second.data.data() + 4 * (i % (found->second.data.size() / 4));
      }
      std::memcpy(&weights.data[4 * i], from, 4);
    }
    tensors[tensor.name] = std::move(weights);
  }
  return format_weights(tensors);
}

// Changes one word or number of a JSON text.
void change_json(std::string* text, Random& random) {
  std::vector<std::pair<size_t, size_t>> tokens;  // begin, size
  for (size_t i = 0; i < text->size(); ++i) {
    const size_t begin = i;
    if ((*text)[i] == '"') {
      i = text->find('"', i + 1);
      if (i == std::string::npos) break;
      tokens.emplace_back(begin, i - begin + 1);
    } else if (std::strchr("0123456789-tfn", (*text)[i]) != nullptr) {
      i = std::min(text->find_first_of(",]} \n", i), text->size()) - 1;
      tokens.emplace_back(begin, i - begin + 1);
    }
  }
  if (tokens.empty()) return;
  const auto [begin, size] = random.pick(tokens);
  static const std::vector<std::string> kValues = {"0",
                                                   "1",
                                                   "2",
                                                   "5",
                                                   "-1",
                                                   "1e30",
                                                   "9007199254740991",
                                                   "0.5",
                                                   "true",
                                                   "false",
                                                   "null",
                                                   "\"\"",
                                                   "\"item\"",
                                                   "\"clicks\"",
                                                   "\"number\"",
                                                   "\"time\"",
                                                   "\"categorical\"",
                                                   "\"../x\"",
                                                   "[]",
                                                   "{}"};
  const auto other = random.pick(tokens);
  text->replace(begin, size, random.one_in(3) ? text->substr(other.first, other.second) : random.pick(kValues));
}

void change_lines(std::string* text, Random& random) {
  std::vector<std::string> lines;
  std::istringstream stream(*text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  if (lines.empty()) return;
  const size_t at = random.below(lines.size());
  switch (random.below(5)) {
    case 0: lines.erase(lines.begin() + static_cast<int64_t>(at)); break;
    case 1: lines.push_back("new" + std::to_string(random.below(9)) + "\t1"); break;
    case 2: std::swap(lines[at], lines[random.below(lines.size())]); break;
    case 3: lines[at].resize(random.below(lines[at].size() + 1)); break;
    default: lines.insert(lines.begin() + static_cast<int64_t>(at), lines[random.below(lines.size())]);
  }
  text->clear();
  for (const std::string& line : lines) *text += line + "\n";
}

void change_weights(std::string* bytes, Random& random) {
  std::map<std::string, Weights> tensors = parse_weights(*bytes);
  auto entry = tensors.begin();
  std::advance(entry, static_cast<int64_t>(random.below(tensors.size())));
  switch (random.below(4)) {
    case 0: tensors.erase(entry); break;
    case 1:
      if (!entry->second.shape.empty()) entry->second.shape[0] = random.below(20);
      break;
    case 2: entry->second.dtype = random.pick(std::vector<std::string>{"F32", "I32", "U32", "F64", "BF16"}); break;
    default:
      for (char& byte : entry->second.data)
        byte = random.one_in(4) ? static_cast<char>(random.next()) : byte;  // NaN and ∞ among them
  }
  *bytes = format_weights(tensors);
}

void mutate(Files* files, Random& random) {
  MutableProgram program = MutableProgram::parse(Json::parse(files->at("program.json")));
  const std::map<std::string, Weights> weights = parse_weights(files->at("model.safetensors"));
  bool program_changed = false;
  std::vector<std::string*> vocabularies;
  for (auto& [name, text] : *files) {
    if (name.compare(0, 11, "vocabulary/") == 0) vocabularies.push_back(&text);
  }
  for (size_t changes = 1 + random.below(3); changes > 0; --changes) {
    switch (random.below(8)) {
      case 0: change_json(&files->at("config.json"), random); break;
      case 1: change_lines(random.pick(vocabularies), random); break;
      case 2:
        if (!program_changed) change_weights(&files->at("model.safetensors"), random);
        break;
      default: program.mutate(random); program_changed = true;
    }
  }
  if (!program_changed) return;
  files->at("program.json") = program.format();
  if (!random.one_in(8)) files->at("model.safetensors") = weights_for(program, weights, random);
}

const std::vector<std::string> kLines = {
    "u1\t21\tv1:c1:t1_t2;v2:c2:t2_t3", "u2\t\tv9:c0:t0", "nobody\tNULL\t",
    "u3\t-1e9\tv1:c1:t1;v1:c1:t1;v3:c0:t3_t1_t0_t2;v4:c1:t0;v5:c2:t1;v6:c0:t2;v7:c1:t3;v8:c2:t0;v9:c0:t1", "\t\tx:y:z"};

struct Counts {
  uint64_t refused = 0, answered = 0, faults = 0;
};

// Opens a folder and requests a few shortlists, into memory of exactly their size.
void ask(const fs::path& folder, Random& random, bool show, Counts* counts) {
  shortlist_model* model = nullptr;
  shortlist_error error;
  error.status = SHORTLIST_OK;
  const auto succeeded = [&](shortlist_status status) {
    if (status == SHORTLIST_OK) return true;
    if (show) std::printf("status %d: %s\n", status, error.message);
    if (status == SHORTLIST_ERROR_SYSTEM && std::strstr(error.message, "memory") == nullptr) {
      std::printf("mutation %llu is a fault of the library: %s\n", static_cast<unsigned long long>(current().number),
                  error.message);
      ++counts->faults;
    }
    return false;
  };
  if (!succeeded(shortlist_model_open(folder.c_str(), 1, &model, &error))) {
    ++counts->refused;
    return;
  }
  shortlist_user* user = nullptr;
  if (succeeded(shortlist_user_create(model, &user, &error))) {
    for (size_t asked = 0; asked < 3; ++asked) {
      if (!succeeded(shortlist_user_set_line(user, random.pick(kLines).c_str(), &error))) continue;
      const size_t width = shortlist_model_vector_width(model), capacity = 1 + random.below(20);
      if (width > kMostElements) continue;
      const std::unique_ptr<float[]> vector(new float[width]);
      const std::unique_ptr<shortlist_item[]> items(new shortlist_item[capacity]);
      size_t count = 0;
      succeeded(shortlist_user_vector(user, vector.get(), width, &error));
      if (!succeeded(shortlist_user_recommend(user, random.one_in(2), items.get(), capacity, &count, &error))) continue;
      size_t letters = 0;
      for (size_t i = 0; i < count; ++i) letters += std::strlen(items[i].item);
      counts->answered += letters > 0 || count == 0;
    }
  }
  shortlist_user_destroy(user);
  shortlist_model_close(model);
}

void write_file(const fs::path& path, const std::string& contents) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << contents;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: %s corpus [mutations [seed]] | corpus only number seed\n", arguments[0]);
    return 2;
  }
  report_findings();
  std::vector<Files> corpus;
  std::vector<fs::path> folders;
  for (const fs::directory_entry& entry : fs::directory_iterator(arguments[1])) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  for (const fs::path& path : folders) corpus.push_back(read_folder(path));
  const auto number = [&](int at, uint64_t fallback) {
    return count > at ? std::strtoull(arguments[at], nullptr, 10) : fallback;
  };
  const bool only = count > 2 && std::string(arguments[2]) == "only";
  const uint64_t seed = only ? number(4, 1) : number(3, 1), first = only ? number(3, 0) : 0,
                 end = only ? first + 1 : number(2, 1000);
  std::string pattern = (fs::temp_directory_path() / "shortlist-mutate-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return 2;
  const fs::path folder = pattern;
  Counts counts;
  Files written;  // what the folder holds
  for (uint64_t i = first; i < end; ++i) {
    current() = {seed, i};
    Random random(seed * 1000003 + i);
    Files files = corpus[i % corpus.size()];
    if (i >= corpus.size()) mutate(&files, random);  // the first ones are the valid folders themselves
    for (const auto& [name, contents] : files) {
      const auto before = written.find(name);
      if (before == written.end() || before->second != contents) write_file(folder / name, contents);
      written[name] = contents;
    }
    const uint64_t refused = counts.refused;
    ask(folder, random, only || i < corpus.size(), &counts);
    if (i < corpus.size()) counts.faults += counts.refused - refused;
  }
  if (only) std::printf("%s\n", folder.c_str());
  else fs::remove_all(folder);
  std::printf("%llu mutations of %zu model folders: %llu were refused, %llu shortlists\n",
              static_cast<unsigned long long>(end - first), corpus.size(),
              static_cast<unsigned long long>(counts.refused), static_cast<unsigned long long>(counts.answered));
  return counts.faults > 0 || corpus.empty();
}
